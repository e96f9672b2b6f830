//! Packets that are sent and arrive: a switch with real devices, and hosts on cables.
//!
//! The switch's devices are in a network namespace of the test, each host is another, and a cable is a pair of veth devices; nothing
//! is left behind, and nothing outside is touched. It takes root: Open vSwitch opens `/dev/net/tun`. Whoever is not root is told
//! what was not run; where `CI` is set that is a failure.

mod chains;
mod devices;
mod faultless;
mod services;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::Deref;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{Lab, condition};
use crate::switch::{Kind, Switch};

/// A network namespace. It ends with this value, and with the test's thread whatever happens to it.
struct Room(Child);

impl Drop for Room {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Room {
    /// Without IPv6: what it says of itself would be counted.
    fn new() -> Self {
        let made = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 && ip link set lo up && echo made && exec sleep infinity";
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--net", "sh", "-c", made]);
        let mut keeper = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let room = Self(keeper);
        assert_eq!(said, "made\n", "{command:?}");
        room
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.0.id()));
        // What is run in the background ends with the test, too.
        command.args(["setpriv", "--pdeathsig", "KILL", program]).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a program to its end.
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = self.command(program, arguments);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let said = text(output.stderr);
        assert!(output.status.success(), "{command:?}: {said}; `make debian` installs what is missing");
        text(output.stdout)
    }

    fn ip(&self, arguments: &[&str]) {
        self.run("ip", arguments);
    }

    /// What the system says of a device.
    fn link(&self, device: &str) -> Value {
        let links: Value = serde_json::from_str(&self.run("ip", &["-j", "-s", "link", "show", device])).unwrap();
        links[0].clone()
    }
}

/// A lab with a switch of real devices.
struct Real {
    lab: Lab,
    room: Room,
}

impl Deref for Real {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Real {
    /// None where nobody may: that is said, whatever is captured.
    fn start(bridges: &[&str]) -> Option<Self> {
        let probe = Command::new("unshare").args(["--net", "sh", "-c", "exec 3<>/dev/net/tun"]).output().unwrap();
        if !probe.status.success() {
            let why = String::from_utf8_lossy(&probe.stderr).into_owned();
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            assert!(std::env::var_os("CI").is_none(), "no packets can be moved here: {why}");
            let told = format!("\nNOT RUN: {name}: packets need root and network namespaces: {}\n", why.trim());
            std::io::stdout().lock().write_all(told.as_bytes()).unwrap();
            return None;
        }
        let room = Room::new();
        let lab = Lab::on(Switch::start_of(Kind::Of(room.0.id()), bridges));
        Some(Self { lab, room })
    }

    /// A host with an address, on a cable whose other end has a name among the switch's devices.
    fn host(&self, port: &str, address: &str) -> Host {
        let host = Host { room: Room::new(), port: port.to_owned(), address: address.to_owned() };
        self.plug(&host);
        host
    }

    /// Plugs a host's cable in. Its hardware address is the same every time.
    fn plug(&self, host: &Host) {
        self.cable(&host.port, &host.room, "eth0");
        host.room.ip(&["link", "set", "eth0", "address", &host.mac()]);
        host.room.ip(&["address", "add", &format!("{}/24", host.address), "dev", "eth0"]);
    }

    /// In the userspace datapath nobody fills in a checksum that is left to the device.
    fn cable(&self, port: &str, room: &Room, device: &str) {
        let process = room.0.id().to_string();
        self.room.ip(&["link", "add", port, "type", "veth", "peer", "name", device, "netns", &process]);
        self.room.ip(&["link", "set", port, "up"]);
        room.run("ethtool", &["-K", device, "tx", "off"]);
        room.ip(&["link", "set", device, "up"]);
    }

    /// Adds devices to a bridge, as others than the agent do.
    fn add_devices(&self, bridge: &str, ports: &[&str]) {
        for port in ports {
            self.switch.vsctl(&["add-port", bridge, port]);
        }
    }

    /// A bridge that forwards as a plain switch does.
    fn add_plain_bridge(&self, bridge: &str) {
        self.switch.add_bridge(bridge);
        self.switch.ofctl("add-flow", bridge, &["actions=NORMAL"]);
    }

    /// Puts a chain with another generation, and waits until that is done.
    fn put_chain(&self, file: &str, mut chain: Value, generation: i64) {
        let name = chain["metadata"]["name"].clone();
        chain["metadata"]["generation"] = json!(generation);
        self.put(file, &[chain]);
        self.until("the generation is seen and done", || {
            let chains = self.node()["status"]["chains"].clone();
            let one = chains.as_array().into_iter().flatten().find(|one| one["name"] == name);
            one.is_some_and(|one| {
                one["observedGeneration"] == generation && condition(&one["conditions"], "Ready") == "True/Success"
            })
        });
    }

    fn until_ready(&self) {
        self.until_condition("Ready", "True/Success");
    }
}

/// A host with one device, `eth0`.
struct Host {
    room: Room,
    /// The other end of its cable.
    port: String,
    address: String,
}

/// A series of pings under way.
struct Pinging(Child);

impl Drop for Pinging {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Pinging {
    fn goes_on(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Waits for the end, and says which were answered, counted from 1.
    fn answered(mut self) -> BTreeSet<u32> {
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.0.stdout.take().unwrap(), &mut said).unwrap();
        assert!(said.contains("packets transmitted"), "{said}");
        let answer = |line: &str| line.split_once("icmp_seq=")?.1.split_once(" ttl=")?.0.parse().ok();
        said.lines().filter_map(answer).collect()
    }
}

impl Host {
    fn mac(&self) -> String {
        let numbers = self.address.split('.').map(|part| format!("{:02x}", part.parse::<u8>().unwrap()));
        format!("02:00:{}", numbers.collect::<Vec<_>>().join(":"))
    }

    fn pinging(&self, arguments: &[&str], address: &str) -> Pinging {
        let arguments: Vec<&str> = ["-n"].iter().chain(arguments).copied().chain([address]).collect();
        let mut command = self.room.command("ping", &arguments);
        Pinging(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Whether the other answers, within ten seconds.
    fn reaches(&self, other: &Host) -> bool {
        !self.pinging(&["-c", "1", "-W", "10", "-w", "10"], &other.address).answered().is_empty()
    }

    /// Whether no other answers one ping within a second; each is asked at the same time.
    fn reaches_none(&self, others: &[&Host]) -> bool {
        let ask = |other: &&Host| self.pinging(&["-c", "1", "-w", "1"], &other.address);
        let asked: Vec<Pinging> = others.iter().map(ask).collect();
        asked.into_iter().all(|one| one.answered().is_empty())
    }

    /// Packets that its device has received.
    fn received(&self) -> u64 {
        self.room.link("eth0")["stats64"]["rx"]["packets"].as_u64().unwrap()
    }

    /// Sends so many bytes to the other by TCP; both agree on what was sent.
    fn sends_by_tcp(&self, other: &Host, bytes: usize) {
        let serve = "import hashlib,socket,sys\n\
            s=socket.create_server((sys.argv[1],4321))\nprint('ready',flush=True)\nc,_=s.accept()\nc.settimeout(20)\n\
            h=hashlib.sha256()\nn=0\n\
            while b:=c.recv(65536):\n h.update(b);n+=len(b)\n\
            c.sendall(f'{n} {h.hexdigest()}'.encode())\n";
        let send = "import hashlib,random,socket,sys\n\
            b=random.Random(1).randbytes(int(sys.argv[2]))\n\
            c=socket.create_connection((sys.argv[1],4321),20)\nc.sendall(b);c.shutdown(socket.SHUT_WR)\n\
            assert c.recv(999).decode()==f'{len(b)} {hashlib.sha256(b).hexdigest()}'\n";
        let mut server = other.room.command("python3", &["-c", serve, &other.address]);
        let mut server = server.stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        self.room.run("python3", &["-c", send, &other.address, &bytes.to_string()]);
        assert!(server.wait().unwrap().success());
    }
}
