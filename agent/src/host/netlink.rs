//! Requests to the kernel over netlink, answered one by one: no runtime, no thread. The kernel
//! works on a request while it is being sent: its answer is there to be read right after.

use std::{io, marker::PhantomData, os::fd::AsFd as _};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use nix::sys::{
    socket::{setsockopt, sockopt::ReceiveTimeout},
    time::{TimeVal, TimeValLike as _},
};

/// How long one answer may take, seconds. It is there when the request has been sent; the limit
/// only keeps a lost one from stopping the agent.
const ANSWER_LIMIT_S: i64 = 5;
/// How often a dump is begun again when the list changed under it.
const DUMP_TRIES: u32 = 16;
/// The kernel's mark on a dump whose list changed while it was read.
const NLM_F_DUMP_INTR: u16 = 0x10;
/// Messages in one datagram begin at multiples of this.
const ALIGNMENT: usize = 4;

/// A request that the kernel did not carry out, or one that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkFailure {
    /// No socket.
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    /// Not sent.
    #[error("cannot send a netlink request")]
    Send(#[source] io::Error),
    /// No answer within the limit, or one that was lost.
    #[error("the kernel's answer to a netlink request cannot be read")]
    Receive(#[source] io::Error),
    /// An answer that is not as it should be.
    #[error("the kernel's answer to a netlink request cannot be decoded: {0}")]
    Decode(String),
    /// The kernel refused; nothing of the request was carried out.
    #[error("the kernel refused a netlink request")]
    Refused(#[source] io::Error),
    /// The list changed each time that it was read.
    #[error("a list changed each of {DUMP_TRIES} times while it was read from the kernel")]
    Restless,
}

impl NetlinkFailure {
    /// The kernel's error number, if it refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused(source) => source.raw_os_error(),
            Self::Open(_) | Self::Send(_) | Self::Receive(_) | Self::Decode(_) | Self::Restless => {
                None
            }
        }
    }
}

/// A kept socket for messages of type `M`.
#[derive(Debug)]
pub struct Channel<M> {
    socket: Socket,
    port: u32,
    sequence: u32,
    message: PhantomData<fn(M) -> M>,
}

impl<M> Channel<M>
where
    M: NetlinkSerializable + NetlinkDeserializable,
    NetlinkPayload<M>: From<M>,
{
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`NetlinkFailure::Open`].
    pub fn open(protocol: isize) -> Result<Self, NetlinkFailure> {
        let mut socket = Socket::new(protocol).map_err(NetlinkFailure::Open)?;
        let address = socket.bind_auto().map_err(NetlinkFailure::Open)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(NetlinkFailure::Open)?;
        setsockopt(&socket.as_fd(), ReceiveTimeout, &TimeVal::seconds(ANSWER_LIMIT_S))
            .map_err(|errno| NetlinkFailure::Open(errno.into()))?;
        Ok(Self { socket, port: address.port_number(), sequence: 0, message: PhantomData })
    }

    /// The socket's port: what the kernel names as an owner.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Sends messages as one datagram, each with its flags; waits for an acknowledgement of every
    /// one that asks for it with `NLM_F_ACK`. Returns what else came.
    ///
    /// # Errors
    /// [`NetlinkFailure`]; of several refusals the first.
    pub fn request(&mut self, messages: Vec<(u16, M)>) -> Result<Vec<M>, NetlinkFailure> {
        let first = self.sequence.wrapping_add(1);
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let mut missing = messages.iter().filter(|(flags, _)| flags & NLM_F_ACK != 0).count();
        self.send(messages)?;
        let (mut answers, mut refusal) = (Vec::new(), None);
        while missing > 0 {
            for (header, payload) in self.receive()? {
                // An answer to an older request, one that was given up.
                if header.sequence_number.wrapping_sub(first) >= count {
                    continue;
                }
                match payload {
                    NetlinkPayload::InnerMessage(message) => answers.push(message),
                    NetlinkPayload::Error(error) if error.code.is_none() => missing -= 1,
                    NetlinkPayload::Error(error) => {
                        // A batch that fails as a whole is answered at its beginning alone.
                        refusal.get_or_insert(error.to_io());
                        missing = 0;
                    }
                    _ => {}
                }
            }
        }
        refusal.map_or(Ok(answers), |source| Err(NetlinkFailure::Refused(source)))
    }

    /// Asks for a whole list.
    ///
    /// # Errors
    /// [`NetlinkFailure`]; [`NetlinkFailure::Restless`] if the list changes whenever it is read.
    pub fn dump(&mut self, message: &M) -> Result<Vec<M>, NetlinkFailure>
    where
        M: Clone,
    {
        for _ in 0..DUMP_TRIES {
            if let Some(list) = self.dump_once(message.clone())? {
                return Ok(list);
            }
        }
        Err(NetlinkFailure::Restless)
    }

    fn dump_once(&mut self, message: M) -> Result<Option<Vec<M>>, NetlinkFailure> {
        self.send(vec![(NLM_F_REQUEST | NLM_F_DUMP, message)])?;
        let (mut list, mut whole) = (Vec::new(), true);
        loop {
            for (header, payload) in self.receive()? {
                if header.sequence_number != self.sequence {
                    continue;
                }
                whole &= header.flags & NLM_F_DUMP_INTR == 0;
                match payload {
                    NetlinkPayload::InnerMessage(message) => list.push(message),
                    NetlinkPayload::Done(_) => return Ok(whole.then_some(list)),
                    NetlinkPayload::Error(error) => {
                        return Err(NetlinkFailure::Refused(error.to_io()));
                    }
                    _ => {}
                }
            }
        }
    }

    fn send(&mut self, messages: Vec<(u16, M)>) -> Result<(), NetlinkFailure> {
        let mut bytes = Vec::new();
        for (flags, message) in messages {
            self.sequence = self.sequence.wrapping_add(1);
            let mut header = NetlinkHeader::default();
            header.flags = flags;
            header.sequence_number = self.sequence;
            let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
            message.finalize();
            let start = bytes.len();
            bytes.resize(start + message.buffer_len().next_multiple_of(ALIGNMENT), 0);
            message.serialize(&mut bytes[start..start + message.buffer_len()]);
        }
        let sent = self.socket.send(&bytes, 0).map_err(NetlinkFailure::Send)?;
        debug_assert_eq!(sent, bytes.len(), "a datagram is sent whole");
        Ok(())
    }

    fn receive(&self) -> Result<Vec<(NetlinkHeader, NetlinkPayload<M>)>, NetlinkFailure> {
        let (bytes, _) = self.socket.recv_from_full().map_err(NetlinkFailure::Receive)?;
        let (mut rest, mut messages) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            let message = NetlinkMessage::<M>::deserialize(rest)
                .map_err(|error| NetlinkFailure::Decode(error.to_string()))?;
            let length = usize::try_from(message.header.length).unwrap_or(rest.len());
            rest = rest.get(length.max(1).next_multiple_of(ALIGNMENT)..).unwrap_or_default();
            messages.push(message.into_parts());
        }
        Ok(messages)
    }
}
