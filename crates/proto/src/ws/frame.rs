//! The header of one frame (RFC 6455 section 5.2): its wire form, and the rules that can be judged from it
//! alone.

use super::Violation;

/// The side of the connection a [`Decoder`](super::Decoder) works for (RFC 6455 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads what a client sent: every frame must be masked.
    Server,
    /// Reads what a server sent: no frame may be masked.
    Client,
}

/// The kind of a frame (RFC 6455 section 11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum OpCode {
    /// More of the open message.
    Continuation = 0,
    /// The first frame of a text message.
    Text = 1,
    /// The first frame of a binary message.
    Binary = 2,
    /// The last frame of its direction.
    Close = 8,
    /// Asks for a pong with the same payload.
    Ping = 9,
    /// Answers a ping, or comes unasked.
    Pong = 10,
}

impl OpCode {
    /// Whether this is a control frame: at most 125 bytes, never fragmented (RFC 6455 section 5.5).
    pub fn is_control(self) -> bool {
        self as u8 >= Self::Close as u8
    }

    fn from_bits(bits: u8) -> Result<Self, Violation> {
        Ok(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => return Err(Violation::ReservedOpCode(other)),
        })
    }
}

/// A header that obeys every rule; its length fits the message limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) opcode: OpCode,
    pub(super) fin: bool,
    pub(super) compressed: bool,
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub(super) len: usize,
    /// Bytes of the header itself, 2..=14.
    pub(super) wire_len: usize,
}

/// What the decoder knows when a header arrives.
pub(super) struct Context {
    pub(super) role: Role,
    /// permessage-deflate was agreed.
    pub(super) deflate: bool,
    /// A fragmented message is open.
    pub(super) open: bool,
    /// The open message may have another fragment.
    pub(super) may_continue: bool,
    /// Bytes the open (or next) message may still have.
    pub(super) room: usize,
}

pub(super) enum Parsed {
    /// So many bytes from the start of the header are needed before the next step.
    Incomplete(usize),
    Complete(Header),
}

impl Header {
    /// Reads a header from the front of `bytes`. The rules are checked in wire order, each as soon as its
    /// bytes are there, so the verdict does not depend on how the bytes were split.
    pub(super) fn parse(bytes: &[u8], context: &Context) -> Result<Parsed, Violation> {
        let Some((&first, after_first)) = bytes.split_first() else { return Ok(Parsed::Incomplete(2)) };
        let (opcode, fin, compressed) = check_first(first, context)?;

        let Some((&second, after_second)) = after_first.split_first() else {
            return Ok(Parsed::Incomplete(2));
        };
        let masked = second & MASK != 0;
        match (context.role, masked) {
            (Role::Server, false) => return Err(Violation::UnmaskedFrame),
            (Role::Client, true) => return Err(Violation::MaskedFrame),
            _ => {}
        }

        let short = second & 0x7f;
        if opcode.is_control() && short > MAX_CONTROL {
            return Err(Violation::ControlTooLong);
        }
        let (len, after_len) = match short {
            126 => {
                let Some((be, rest)) = after_second.split_first_chunk() else {
                    return Ok(Parsed::Incomplete(4));
                };
                (u64::from(u16::from_be_bytes(*be)), rest)
            }
            127 => {
                let Some((be, rest)) = after_second.split_first_chunk() else {
                    return Ok(Parsed::Incomplete(10));
                };
                (u64::from_be_bytes(*be), rest)
            }
            short => (u64::from(short), after_second),
        };
        if len >> 63 != 0 {
            return Err(Violation::LengthOverflow);
        }
        if (short == 126 && len < 126) || (short == 127 && len <= u64::from(u16::MAX)) {
            return Err(Violation::LengthNotMinimal);
        }
        let len = usize::try_from(len).map_err(|_| Violation::MessageTooBig)?;
        if !opcode.is_control() && len > context.room {
            return Err(Violation::MessageTooBig);
        }

        let before_mask = bytes.len() - after_len.len();
        let (mask, wire_len) = match (masked, after_len.first_chunk()) {
            (false, _) => (None, before_mask),
            (true, Some(key)) => (Some(*key), before_mask + 4),
            (true, None) => return Ok(Parsed::Incomplete(before_mask + 4)),
        };
        Ok(Parsed::Complete(Self { opcode, fin, compressed, mask, len, wire_len }))
    }
}

/// The rules of the first byte: reserved bits, opcode, and whether such a frame may come now.
fn check_first(first: u8, context: &Context) -> Result<(OpCode, bool, bool), Violation> {
    let (fin, compressed) = (first & FIN != 0, first & RSV1 != 0);
    if first & RSV2_RSV3 != 0 || (compressed && !context.deflate) {
        return Err(Violation::ReservedBits);
    }
    let opcode = OpCode::from_bits(first & 0x0f)?;
    if compressed && !matches!(opcode, OpCode::Text | OpCode::Binary) {
        return Err(Violation::MisplacedCompressionBit);
    }
    match opcode {
        OpCode::Continuation if !context.open => Err(Violation::UnexpectedContinuation),
        OpCode::Continuation if !context.may_continue => Err(Violation::TooManyFragments),
        OpCode::Text | OpCode::Binary if context.open => Err(Violation::InterleavedMessage),
        control if control.is_control() && !fin => Err(Violation::FragmentedControl),
        opcode => Ok((opcode, fin, compressed)),
    }
}

pub(super) const FIN: u8 = 0x80;
pub(super) const RSV1: u8 = 0x40;
const RSV2_RSV3: u8 = 0x30;
pub(super) const MASK: u8 = 0x80;
pub(super) const MAX_CONTROL: u8 = 125;
