//! Reading messages of every kind.

use mvb_protocol::{
    params::ChainParams,
    wire::{Datagram, Hello, Request, Response, WireError},
};

/// Reads a message as the vectors say it is read, and writes it again.
pub fn read_message(place: &str, bytes: &[u8], params: &ChainParams) -> Result<Vec<u8>, String> {
    let refused = |error: WireError| error.to_string();
    match place {
        "datagram" => Datagram::from_bytes(bytes)
            .map(|datagram| match datagram {
                Datagram::Status(status) => status.to_datagram(),
                Datagram::Transaction(transaction) => transaction.to_datagram(),
            })
            .map_err(refused),
        "hello" => Hello::from_bytes(bytes)
            .map(|hello| hello.to_bytes())
            .map_err(refused),
        "request" => Request::from_frame(bytes)
            .map(|request| request.to_frame())
            .map_err(refused),
        "response" => Response::from_frame(bytes, params)
            .map(|response| response.to_frame())
            .map_err(refused),
        other => unreachable!("no message is read as {other}"),
    }
}
