//! Probes of the network and of services: what can be spoken to.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};

use super::{Answer, Probe, Wall, probe, reached, unless, worked};

/// The kernel's crypto sockets.
const AF_ALG: u16 = 38;
/// A connection on the same machine takes no longer.
const CONNECT_TIME: Duration = Duration::from_millis(300);

pub(super) const PROBES: &[Probe] = &[
    probe(
        "tcp_loopback",
        "connect to a server of this machine",
        Wall::Namespaces,
        |aim| {
            let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, aim.port);
            worked(TcpStream::connect_timeout(&address.into(), CONNECT_TIME))
        },
    ),
    probe(
        "udp_outside",
        "send a datagram out of the machine",
        Wall::Namespaces,
        |_| {
            // To an address that documents use: a route is enough, nothing has to be there.
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
            worked(socket.and_then(|socket| socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))))
        },
    ),
    probe(
        "interfaces",
        "see an interface that leads out",
        Wall::Namespaces,
        |_| {
            let text = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
            let names = text.lines().filter_map(|line| line.split_once(':'));
            let other = names
                .map(|(name, _)| name.trim())
                .find(|name| *name != "lo");
            unless(other.map(str::to_owned), "only loopback")
        },
    ),
    probe(
        "unix_socket",
        "connect to a socket outside of what is given",
        Wall::View,
        |aim| worked(UnixStream::connect(aim.outside.join("socket"))),
    ),
    probe(
        "abstract_socket",
        "connect to an abstract socket of the host",
        Wall::Namespaces,
        |aim| {
            let address = SocketAddr::from_abstract_name(&aim.abstract_socket);
            worked(address.and_then(|address| UnixStream::connect_addr(&address)))
        },
    ),
    probe(
        "own_doors",
        "connect to the broker's doors",
        Wall::View,
        |aim| {
            let doors = aim.own.iter().flat_map(|dir| {
                ["operator.sock", "guard.sock", "agent.sock"].map(|name| dir.join(name))
            });
            let open = doors
                .into_iter()
                .find(|door| UnixStream::connect(door).is_ok());
            unless(open.map(|door| door.display().to_string()), "none is there")
        },
    ),
    probe(
        "services",
        "connect to D-Bus, a container engine, a display or a key agent",
        Wall::View,
        |aim| {
            let open = aim
                .sockets
                .iter()
                .find(|door| UnixStream::connect(door).is_ok());
            unless(open.map(|door| door.display().to_string()), "none is there")
        },
    ),
    probe(
        "raw_socket",
        "make raw network packets",
        Wall::Seccomp,
        |_| {
            let made = socket_with(
                AddressFamily::INET,
                SocketType::RAW,
                SocketFlags::CLOEXEC,
                None,
            );
            reached(made.map(drop).map_err(io::Error::from))
        },
    ),
    probe(
        "packet_socket",
        "make frames of the network",
        Wall::Seccomp,
        |_| family(AddressFamily::PACKET),
    ),
    probe(
        "vsock",
        "speak with the machine's hypervisor",
        Wall::Seccomp,
        |_| family(AddressFamily::VSOCK),
    ),
    probe(
        "crypto_socket",
        "use the kernel's crypto sockets",
        Wall::Seccomp,
        |_| family(AddressFamily::from_raw(AF_ALG)),
    ),
    probe(
        "netlink_audit",
        "speak with the kernel's audit",
        Wall::Seccomp,
        |_| {
            let made = socket_with(
                AddressFamily::NETLINK,
                SocketType::RAW,
                SocketFlags::CLOEXEC,
                Some(netlink::AUDIT),
            );
            reached(made.map(drop).map_err(io::Error::from))
        },
    ),
];

fn family(family: AddressFamily) -> Answer {
    let made = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    reached(made.map(drop).map_err(io::Error::from))
}
