//! Bridges, taps, elements, and the lab's own networks.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Context as _;
use tenure_agent::{
    core::ruleset::{self, TapName},
    host::{
        nft::{self, CutTable},
        tap::{self, Device, DeviceKind, TapFailure},
    },
};
use tenure_protocol::wire::v1::Mark;
use tenure_tests::lab::{
    daemon::{elapse, run},
    frames::Wire,
    net::{Netns, Switch, can_run},
};

use super::{A, B, GATEWAY, Tested, on_a_host};

#[test]
fn bridges_and_taps_can_be_made_and_removed_again_and_again() -> Tested {
    on_a_host("devices", |_| {
        let (name, bridge) = (TapName::parse("tap-01234567")?, ruleset::bridge_name(A));
        tap::ensure_bridge(&bridge)?;
        tap::ensure_bridge(&bridge)?;
        let mut before = None;
        let open = tap::ensure_tap(&name, &bridge, || before = Some(tap::list()))?;
        let before = before.context("nobody was asked before it went up")??;
        let of = |device: &&Device| device.name == name.as_str();
        let before = before.iter().find(of).context("it was not there yet")?;
        assert!(!before.up && before.kind == DeviceKind::Tap { bridge: None }, "{before:?}");
        assert!(matches!(tap::ensure_tap(&name, &bridge, || ()), Err(TapFailure::Busy { .. })));
        // As a process that another thread starts has a copy of it for a moment.
        let copy = open.try_clone()?;
        drop(open);
        let holder = std::thread::spawn(move || {
            elapse(Duration::from_millis(200));
            drop(copy);
        });
        drop(tap::ensure_tap(&name, &bridge, || ())?);
        holder.join().expect("no panic");
        let devices = tap::list()?;
        assert_eq!(devices.len(), 2, "{devices:?}");
        assert_eq!(devices[0].kind, DeviceKind::Tap { bridge: Some(bridge.clone()) });
        assert_eq!(devices[1].name, bridge);
        assert!(devices.iter().all(|device| device.up), "{devices:?}");
        let quiet = run(&["ip", "-d", "link", "show", &bridge])?;
        assert!(quiet.contains("addrgenmode none"), "{quiet}");

        let missing = tap::ensure_tap(&TapName::parse("tap-x")?, "tb-none", || ());
        assert!(matches!(missing, Err(TapFailure::Absent { .. })), "{missing:?}");
        run(&["ip", "tuntap", "add", "tb-tap", "mode", "tap"])?;
        let foreign = tap::ensure_bridge("tb-tap");
        assert!(matches!(foreign, Err(TapFailure::Foreign { .. })), "{foreign:?}");
        for _ in 0..2 {
            tap::remove_tap(&name)?;
            tap::remove_bridge(&bridge)?;
        }
        assert_eq!(tap::list()?, []);
        Ok(())
    })
}

#[test]
fn the_probe_changes_nothing_and_a_tap_changes_its_tenant_in_one_step() -> Tested {
    on_a_host("elements", |_| {
        nft::probe()?;
        assert_eq!(run(&["nft", "list", "ruleset"])?, "");
        let (mut cut, tap) = (CutTable::open()?, TapName::parse("tap-a1")?);
        nft::probe()?;
        cut.enlist(&tap, A)?;
        cut.enlist(&tap, A)?;
        cut.enlist(&tap, B)?;
        cut.cut_all(&BTreeSet::from([A, B, Mark(u32::MAX)]))?;
        let state = cut.read_back()?;
        assert_eq!(state.ports, [("tap-a1".to_owned(), B)].into());
        assert_eq!(state.cut, BTreeSet::from([A, B, Mark(u32::MAX)]));
        cut.delist(&tap)?;
        cut.delist(&tap)?;
        assert!(cut.read_back()?.ports.is_empty());
        for number in 0..3000 {
            cut.enlist(&TapName::parse(&format!("tap-{number}"))?, Mark(number))?;
        }
        assert_eq!(cut.read_back()?.ports.len(), 3000, "a list longer than one datagram");
        Ok(())
    })
}

#[test]
fn the_lab_joins_hosts_by_a_switch_and_a_tenants_bridges_by_the_customers_gateway() -> Tested {
    if !can_run("the lab's networks") {
        return Ok(());
    }
    let (office, management) = (Netns::unique("cust")?, Netns::unique("mgmt")?);
    let switch = Switch::create(&management, "mgmt")?;
    switch.address([10, 80, 0, 1].into(), 24)?;
    let gateway = Switch::create(&office, "gw-101")?;
    gateway.address(GATEWAY.ip4, 24)?;
    let mut hosts = Vec::new();
    for number in 1..=3 {
        let host = Netns::unique(&format!("h{number}"))?;
        switch.join(&host, "mgmt", [10, 80, 0, 10 + number].into(), 24)?;
        host.within(|| tap::ensure_bridge("tb-101"))??;
        gateway.plug(&host, "tb-101")?;
        hosts.push(host);
    }
    let bind = |netns: &Netns, address: &str| -> anyhow::Result<std::net::UdpSocket> {
        let socket = netns.within(|| std::net::UdpSocket::bind(address))??;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(socket)
    };
    let (first, third) = (bind(&hosts[0], "10.80.0.11:7")?, bind(&hosts[2], "10.80.0.13:7")?);
    first.send_to(b"over the switch", "10.80.0.13:7")?;
    assert_eq!(third.recv_from(&mut [0; 64])?.0, 15);

    // The customer's kernel asks for a guest on the second host.
    let name = TapName::parse("tap-a1")?;
    let tap = Wire::tap(hosts[1].within(|| tap::ensure_tap(&name, "tb-101", || ()))??)?;
    let client = bind(&office, "10.64.1.1:9")?;
    client.send_to(b"hello", "10.64.1.10:5000")?;
    // The kernel asks again after a second if the uplink was not quite there.
    let asked = tap.collect(Duration::from_millis(1500), |frame| frame[12..14] == [8, 6])?;
    assert!(!asked.is_empty(), "an ARP request over the uplink");
    Ok(())
}
