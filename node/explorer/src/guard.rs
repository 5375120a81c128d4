//! What every request must be before anything else looks at it, and what every response says.
//!
//! A page from elsewhere can make a browser send requests here: under another name that is
//! made to lead to this machine, or across origins. So the Host must be an address or
//! `localhost`, never any other name, and an Origin must be the Host's own. Nothing is
//! allowed to be read across origins, and pages load nothing from other hosts.

use crate::{ask::MAX_TARGET_BYTES, problem::Problem};
use actix_web::{
    HttpResponseBuilder,
    http::{
        StatusCode, Uri,
        header::{self, HeaderMap},
    },
};
use std::net::IpAddr;

/// What pages may load: this server's own style, script and events.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Whether a request may be answered.
///
/// # Errors
/// Says what its headers or its address would have to be.
pub fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let length = uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if length > MAX_TARGET_BYTES {
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            "too_long",
            format!("got an address of {length} bytes, expected at most {MAX_TARGET_BYTES}"),
        ));
    }
    let host = host(uri, headers)?;
    for origin in headers.get_all(header::ORIGIN) {
        let own = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.strip_prefix("http://"));
        if !own.is_some_and(|own| own.eq_ignore_ascii_case(&host)) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "foreign_origin",
                "pages of another origin may not ask this node",
            ));
        }
    }
    Ok(())
}

/// The host that a request is for, where it is one that no name service can redirect.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<String, Problem> {
    let foreign = || {
        Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "foreign_host",
            "expected this node's IP address or localhost as the host",
        )
    };
    let mut hosts = headers.get_all(header::HOST);
    let host = match (hosts.next(), hosts.next(), uri.authority()) {
        (Some(host), None, _) => host.to_str().map_err(|_| foreign())?,
        (None, None, Some(authority)) => authority.as_str(),
        _ => return Err(foreign()),
    };
    if is_own(host) {
        Ok(host.to_owned())
    } else {
        Err(foreign())
    }
}

/// Whether a Host, with or without a port, is one that no name service can redirect.
pub fn is_own(host: &str) -> bool {
    let split = host
        .rsplit_once(':')
        .filter(|(_, port)| !port.ends_with(']'));
    let (name, port) = split.map_or((host, None), |(name, port)| (name, Some(port)));
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_address = match bare {
        Some(v6) => matches!(v6.parse(), Ok(IpAddr::V6(_))),
        None => name.eq_ignore_ascii_case("localhost") || matches!(name.parse(), Ok(IpAddr::V4(_))),
    };
    is_address && port.is_none_or(is_port)
}

/// The headers of every response.
pub fn protect(response: &mut HttpResponseBuilder) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: with that a form of the lab's page would have the Origin `null`.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        response.insert_header((name, value));
    }
    response.insert_header(("cross-origin-resource-policy", "same-origin"));
    response.insert_header(("cross-origin-opener-policy", "same-origin"));
    response.insert_header((
        "permissions-policy",
        "camera=(), microphone=(), geolocation=()",
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn asked(pairs: &[(HeaderName, &'static str)]) -> Result<(), &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        check(&Uri::from_static("/"), &headers).map_err(|problem| problem.code)
    }

    #[test]
    fn a_host_is_an_address_or_localhost_and_no_other_name() {
        for host in [
            "127.0.0.1:8600",
            "localhost:8600",
            "LOCALHOST",
            "[::1]:8600",
            "[::1]",
            "192.168.1.7:80",
        ] {
            assert_eq!(asked(&[(header::HOST, host)]), Ok(()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8600",
            "127.0.0.1.evil.example:8600",
            "localhost.evil.example",
            "127.0.0.1@evil.example",
            "127.0.0.1:8600:80",
            "127.0.0.1:99999",
            "127.0.0.1:+80",
            "::1",
            "[127.0.0.1]",
            "[::1",
            "0x7f000001",
            "2130706433",
        ] {
            assert_eq!(
                asked(&[(header::HOST, host)]),
                Err("foreign_host"),
                "{host}"
            );
        }
        assert_eq!(asked(&[]), Err("foreign_host"));
        let twice = [(header::HOST, "localhost"), (header::HOST, "localhost")];
        assert_eq!(asked(&twice), Err("foreign_host"));
    }

    #[test]
    fn an_origin_is_the_hosts_own() {
        let from = |origin| asked(&[(header::HOST, "localhost:8600"), (header::ORIGIN, origin)]);
        assert_eq!(from("http://localhost:8600"), Ok(()));
        for origin in [
            "null",
            "",
            "http://localhost",
            "http://localhost:8601",
            "https://localhost:8600",
            "http://127.0.0.1:8600",
            "http://evil.example",
            "http://localhost:8600.evil.example",
        ] {
            assert_eq!(from(origin), Err("foreign_origin"), "{origin}");
        }
    }
}
