//! Every message between nodes. Datagrams and the Hello begin, for ever, with an
//! [`Envelope`]; the rest of each message is canonical MessagePack (see [`crate::codec`]).

use crate::{
    block::{Block, Header},
    chain::Tip,
    codec::{self, CodecError, bounded},
    hash::{BlockId, GenesisId, TxId},
    locator::MAX_LOCATOR,
    params::ChainParams,
    transaction::Transaction,
};
use serde::{Deserialize, Deserializer, Serialize};

/// What every datagram and Hello begins with.
pub const MAGIC: &[u8; 4] = b"mvb1";

/// The version of the wire format this node speaks.
pub const WIRE_VERSION: u8 = 1;

/// Bytes of an envelope: magic 4 ‖ wire version 1 ‖ type 1 ‖ genesis id 32.
pub const ENVELOPE_BYTES: usize = 38;

/// The largest status datagram.
pub const MAX_STATUS_BYTES: usize = 512;

/// The largest transaction datagram; the largest payment, of P-521, needs about 360 bytes.
pub const MAX_TRANSACTION_BYTES: usize = 512;

/// The most headers one answer holds.
pub const MAX_HEADERS: usize = 2_000;

/// The most announcements on one connection.
pub const MAX_ANNOUNCEMENTS: u32 = 256;

/// The most blocks one request asks for.
pub const MAX_BLOCKS_REQUEST: usize = 128;

/// The largest frame from a dialler: a GetBlocks of 128 ids is the largest request.
pub const MAX_REQUEST_BYTES: usize = 8 << 10;

/// The longest text in a message, in bytes.
pub const MAX_TEXT_BYTES: usize = 200;

/// The least port a status may announce, so that no spoofed one points at a system service.
pub const MIN_ANNOUNCED_PORT: u16 = 1_024;

/// The message types. The number is the byte on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum MessageType {
    /// A datagram: where a miner's chain stands.
    Status = 1,
    /// A datagram: one payment.
    Transaction = 2,
    /// The first frame each side of a connection sends.
    Hello = 16,
    /// Asks for headers after a locator.
    GetHeaders = 17,
    /// Answers GetHeaders.
    Headers = 18,
    /// Asks for blocks by id.
    GetBlocks = 19,
    /// One block; a GetBlocks is answered by one of these or a NotFound for each id.
    Block = 20,
    /// The block asked for is not stored here.
    NotFound = 21,
    /// Offers a payment.
    OfferTransaction = 22,
    /// The payment is in the mempool.
    Accepted = 23,
    /// The payment is not, and why.
    Refused = 24,
    /// Reserved: asks for the mempool's contents.
    GetMempool = 25,
    /// An announcement over TCP.
    Announcement = 26,
}

impl MessageType {
    /// The type of a wire byte.
    pub fn from_byte(byte: u8) -> Option<Self> {
        use MessageType::*;
        [
            Status,
            Transaction,
            Hello,
            GetHeaders,
            Headers,
            GetBlocks,
            Block,
            NotFound,
            OfferTransaction,
            Accepted,
            Refused,
            GetMempool,
            Announcement,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Too short, or another program's.
    #[error("not an mvb message")]
    NotMvb,
    /// Another version of the wire format.
    #[error("wire version {got}, expected {WIRE_VERSION}")]
    Version {
        /// Its version.
        got: u8,
    },
    /// A type unknown here, or not allowed in this place.
    #[error("unexpected message type {got}")]
    Type {
        /// Its type byte.
        got: u8,
    },
    /// Larger than its kind may be.
    #[error("message has {got} bytes, expected at most {most}")]
    TooLarge {
        /// Its size.
        got: usize,
        /// The limit.
        most: usize,
    },
    /// The payload is malformed or not canonical.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A field is out of its range.
    #[error("{field} is {got}, expected {expected}")]
    Range {
        /// Which field.
        field: &'static str,
        /// Its value.
        got: String,
        /// What it allows.
        expected: &'static str,
    },
}

/// A node's name for itself, drawn at each start; how one's own echo is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(#[serde(with = "serde_bytes")] pub [u8; 16]);

/// Where a chain stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The chain's parameters, so that a difference can be told in words.
    pub params: ChainParams,
    /// Its tip: id, height, work.
    pub tip: Tip,
}

/// Where a miner can be reached; the address is the datagram's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    /// Who it is.
    pub node: NodeId,
    /// Its block server's TCP port, at least 1024.
    pub port: u16,
}

/// What a miner tells everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where its chain stands.
    pub announcement: Announcement,
    /// Where it can be reached.
    pub endpoint: Endpoint,
}

/// What each side of a connection says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The least wire version it speaks.
    pub least_version: u8,
    /// The greatest wire version it speaks.
    pub greatest_version: u8,
    /// Bits for optional abilities; none are defined yet, unknown ones are ignored.
    pub features: u64,
    /// Who it is.
    pub node: NodeId,
    /// Where its chain stands.
    pub announcement: Announcement,
}

/// What a dialler asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The headers of the answerer's active chain after the last common block.
    GetHeaders(GetHeaders),
    /// Blocks by id.
    GetBlocks(GetBlocks),
    /// A payment for the answerer's mempool.
    OfferTransaction(Box<Transaction>),
}

/// Asks for headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetHeaders {
    /// Ids of the asker's chain, from its tip down to genesis.
    #[serde(deserialize_with = "bounded_locator")]
    pub locator: Vec<BlockId>,
    /// How many headers at most, up to [`MAX_HEADERS`].
    pub limit: u16,
}

/// Asks for blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetBlocks {
    /// The ids, at most [`MAX_BLOCKS_REQUEST`].
    #[serde(deserialize_with = "bounded_ids")]
    pub ids: Vec<BlockId>,
}

/// Headers in order of height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers {
    /// The headers, at most [`MAX_HEADERS`]; fewer than asked for at the chain's end.
    #[serde(deserialize_with = "bounded_headers")]
    pub headers: Vec<Header>,
}

/// Why an offered payment was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The payment.
    pub id: TxId,
    /// The reason for a person, at most [`MAX_TEXT_BYTES`] bytes, without control characters:
    /// it is shown on a terminal.
    pub reason: String,
}

impl Refused {
    /// The refusal of a payment, with the reason cut to what a message may hold.
    pub fn new(id: TxId, reason: &str) -> Self {
        let mut text = String::new();
        for c in reason.chars().filter(|c| !c.is_control()) {
            if text.len() + c.len_utf8() > MAX_TEXT_BYTES {
                break;
            }
            text.push(c);
        }
        Self { id, reason: text }
    }
}

/// What a listener answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Answers GetHeaders.
    Headers(Headers),
    /// Answers one id of GetBlocks.
    Block(Box<Block>),
    /// The listener does not have this block.
    NotFound(BlockId),
    /// The offered payment is in the mempool.
    Accepted(TxId),
    /// The offered payment is not.
    Refused(Refused),
    /// The listener's chain has moved.
    Announcement(Box<Announcement>),
}

/// A datagram that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datagram {
    /// A miner's status, possibly of another network: compare its parameters.
    Status(Box<Status>),
    /// A payment for the network of the envelope.
    Transaction(Box<Transaction>),
}

fn bounded_locator<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<BlockId>, D::Error> {
    bounded::<D, BlockId, MAX_LOCATOR>(d)
}

fn bounded_ids<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<BlockId>, D::Error> {
    bounded::<D, BlockId, MAX_BLOCKS_REQUEST>(d)
}

fn bounded_headers<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Header>, D::Error> {
    bounded::<D, Header, MAX_HEADERS>(d)
}

/// The first 38 bytes of every datagram and Hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The type of what follows.
    pub kind: MessageType,
    /// The sender's network.
    pub genesis: GenesisId,
}

impl Envelope {
    /// `"mvb1"` ‖ wire version u8 ‖ type u8 ‖ genesis id 32.
    pub fn to_bytes(&self) -> [u8; ENVELOPE_BYTES] {
        let mut bytes = [0; ENVELOPE_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = WIRE_VERSION;
        bytes[5] = self.kind as u8;
        bytes[6..].copy_from_slice(&self.genesis.0);
        bytes
    }

    /// Splits a message into its envelope and the payload after it.
    ///
    /// # Errors
    /// When it is no mvb message, or of another version or an unknown type.
    pub fn split(bytes: &[u8]) -> Result<(Self, &[u8]), WireError> {
        let (head, payload) = bytes
            .split_at_checked(ENVELOPE_BYTES)
            .ok_or(WireError::NotMvb)?;
        if &head[..4] != MAGIC {
            return Err(WireError::NotMvb);
        }
        if head[4] != WIRE_VERSION {
            return Err(WireError::Version { got: head[4] });
        }
        let kind = MessageType::from_byte(head[5]).ok_or(WireError::Type { got: head[5] })?;
        let mut genesis = GenesisId::default();
        genesis.0.copy_from_slice(&head[6..]);
        Ok((Self { kind, genesis }, payload))
    }

    fn wrap<T: Serialize>(&self, value: &T) -> Vec<u8> {
        let mut bytes = self.to_bytes().to_vec();
        bytes.extend(codec::encode(value));
        bytes
    }
}

impl Status {
    /// The whole datagram.
    pub fn to_datagram(&self) -> Vec<u8> {
        let genesis = self.announcement.params.genesis_id();
        Envelope {
            kind: MessageType::Status,
            genesis,
        }
        .wrap(self)
    }
}

impl Transaction {
    /// The whole datagram.
    pub fn to_datagram(&self) -> Vec<u8> {
        Envelope {
            kind: MessageType::Transaction,
            genesis: self.genesis,
        }
        .wrap(self)
    }
}

impl Datagram {
    /// Reads a datagram.
    ///
    /// # Errors
    /// Says why it is none; whoever sent it is never answered.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let most = MAX_STATUS_BYTES.max(MAX_TRANSACTION_BYTES);
        if bytes.len() > most {
            return Err(WireError::TooLarge {
                got: bytes.len(),
                most,
            });
        }
        let (envelope, payload) = Envelope::split(bytes)?;
        match envelope.kind {
            MessageType::Status => {
                let status: Status = codec::decode(payload)?;
                check_announcement(&status.announcement, envelope.genesis)?;
                if status.endpoint.port < MIN_ANNOUNCED_PORT {
                    return Err(WireError::Range {
                        field: "block-server port",
                        got: status.endpoint.port.to_string(),
                        expected: "1024 to 65535",
                    });
                }
                Ok(Self::Status(Box::new(status)))
            }
            MessageType::Transaction => {
                let transaction: Transaction = codec::decode(payload)?;
                check_genesis(transaction.genesis, envelope.genesis)?;
                Ok(Self::Transaction(Box::new(transaction)))
            }
            other => Err(WireError::Type { got: other as u8 }),
        }
    }
}

impl Hello {
    /// The whole Hello, envelope and payload, without the frame's length.
    pub fn to_bytes(&self) -> Vec<u8> {
        let genesis = self.announcement.params.genesis_id();
        Envelope {
            kind: MessageType::Hello,
            genesis,
        }
        .wrap(self)
    }

    /// Reads a Hello. One of another network is read too, so that its parameters can be
    /// named; compare its genesis id.
    ///
    /// # Errors
    /// Says why it is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > MAX_STATUS_BYTES {
            return Err(WireError::TooLarge {
                got: bytes.len(),
                most: MAX_STATUS_BYTES,
            });
        }
        let (envelope, payload) = Envelope::split(bytes)?;
        if envelope.kind != MessageType::Hello {
            return Err(WireError::Type {
                got: envelope.kind as u8,
            });
        }
        let hello: Hello = codec::decode(payload)?;
        check_announcement(&hello.announcement, envelope.genesis)?;
        Ok(hello)
    }

    /// Whether the other side speaks the version this node does.
    pub fn is_compatible(&self) -> bool {
        (self.least_version..=self.greatest_version).contains(&WIRE_VERSION)
    }
}

fn check_genesis(got: GenesisId, expected: GenesisId) -> Result<(), WireError> {
    if got == expected {
        return Ok(());
    }
    Err(WireError::Range {
        field: "genesis id",
        got: got.to_string(),
        expected: "the one in the envelope",
    })
}

fn check_announcement(announcement: &Announcement, genesis: GenesisId) -> Result<(), WireError> {
    let params = &announcement.params;
    params.validate().map_err(|error| WireError::Range {
        field: error.name,
        got: error.value,
        expected: "a value that a chain can have",
    })?;
    check_genesis(params.genesis_id(), genesis)
}

/// A frame's payload: type byte, then MessagePack. The length before it is the caller's.
fn frame<T: Serialize + ?Sized>(kind: MessageType, value: &T) -> Vec<u8> {
    let mut bytes = vec![kind as u8];
    bytes.extend(codec::encode(value));
    bytes
}

fn split_frame(bytes: &[u8]) -> Result<(MessageType, &[u8]), WireError> {
    let (kind, payload) = bytes.split_first().ok_or(WireError::NotMvb)?;
    Ok((
        MessageType::from_byte(*kind).ok_or(WireError::Type { got: *kind })?,
        payload,
    ))
}

impl Request {
    /// The frame's payload, without its length.
    pub fn to_frame(&self) -> Vec<u8> {
        match self {
            Self::GetHeaders(request) => frame(MessageType::GetHeaders, request),
            Self::GetBlocks(request) => frame(MessageType::GetBlocks, request),
            Self::OfferTransaction(transaction) => {
                frame(MessageType::OfferTransaction, transaction)
            }
        }
    }

    /// Reads a frame's payload.
    ///
    /// # Errors
    /// Says why it is no request.
    pub fn from_frame(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(WireError::TooLarge {
                got: bytes.len(),
                most: MAX_REQUEST_BYTES,
            });
        }
        let (kind, payload) = split_frame(bytes)?;
        match kind {
            MessageType::GetHeaders => {
                let request: GetHeaders = codec::decode(payload)?;
                if !(1..=MAX_HEADERS).contains(&usize::from(request.limit)) {
                    return Err(WireError::Range {
                        field: "limit",
                        got: request.limit.to_string(),
                        expected: "1 to 2000",
                    });
                }
                Ok(Self::GetHeaders(request))
            }
            MessageType::GetBlocks => Ok(Self::GetBlocks(codec::decode(payload)?)),
            MessageType::OfferTransaction => {
                Ok(Self::OfferTransaction(Box::new(codec::decode(payload)?)))
            }
            other => Err(WireError::Type { got: other as u8 }),
        }
    }
}

impl Response {
    /// The frame's payload, without its length.
    pub fn to_frame(&self) -> Vec<u8> {
        match self {
            Self::Headers(headers) => frame(MessageType::Headers, headers),
            Self::Block(block) => frame(MessageType::Block, block),
            Self::NotFound(id) => frame(MessageType::NotFound, id),
            Self::Accepted(id) => frame(MessageType::Accepted, id),
            Self::Refused(refused) => frame(MessageType::Refused, refused),
            Self::Announcement(announcement) => frame(MessageType::Announcement, announcement),
        }
    }

    /// The frame's payload of a block that has been encoded already.
    pub fn encoded_block_frame(encoded: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + encoded.len());
        bytes.push(MessageType::Block as u8);
        bytes.extend_from_slice(encoded);
        bytes
    }

    /// Reads a frame's payload of a chain with these parameters.
    ///
    /// # Errors
    /// Says why it is no response.
    pub fn from_frame(bytes: &[u8], params: &ChainParams) -> Result<Self, WireError> {
        let most = max_response_bytes(params);
        if bytes.len() > most {
            return Err(WireError::TooLarge {
                got: bytes.len(),
                most,
            });
        }
        let (kind, payload) = split_frame(bytes)?;
        match kind {
            MessageType::Headers => Ok(Self::Headers(codec::decode(payload)?)),
            MessageType::Block => Ok(Self::Block(Box::new(codec::decode(payload)?))),
            MessageType::NotFound => Ok(Self::NotFound(codec::decode(payload)?)),
            MessageType::Accepted => Ok(Self::Accepted(codec::decode(payload)?)),
            MessageType::Refused => {
                let refused: Refused = codec::decode(payload)?;
                if refused.reason.len() > MAX_TEXT_BYTES {
                    return Err(WireError::TooLarge {
                        got: refused.reason.len(),
                        most: MAX_TEXT_BYTES,
                    });
                }
                if refused.reason.chars().any(char::is_control) {
                    return Err(WireError::Range {
                        field: "reason",
                        got: format!("{:?}", refused.reason),
                        expected: "a text without control characters",
                    });
                }
                Ok(Self::Refused(refused))
            }
            MessageType::Announcement => {
                let announcement: Announcement = codec::decode(payload)?;
                check_announcement(&announcement, params.genesis_id())?;
                Ok(Self::Announcement(Box::new(announcement)))
            }
            other => Err(WireError::Type { got: other as u8 }),
        }
    }
}

/// The largest frame a listener may send: 2,000 headers of 98 bytes, or a block, whose
/// MessagePack is at most a quarter larger than its fixed layouts.
pub fn max_response_bytes(params: &ChainParams) -> usize {
    let block = params.max_block_bytes as usize + params.max_block_bytes as usize / 4 + 1_024;
    block.max(MAX_HEADERS * 98 + 64)
}

#[cfg(test)]
mod tests;
