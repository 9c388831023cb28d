"""The image as a Wi-Fi operator runs it, seen from a guest's phone in another network namespace."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import ROOT

from .guests import BOX, DNS, ELSEWHERE, FULL, Container, Network, network, run

WIFI = ROOT / "config" / "wifi.toml"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update",
]  # fmt: skip
WITHOUT_AMBIENT = """
import ctypes, os
libc = ctypes.CDLL(None)
assert libc.prctl(47, 4, 0, 0, 0) == 0
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
assert libc.capset(header, (ctypes.c_uint32 * 6)()) == 0
assert "CapPrm:\\t0000000000000000" in open("/proc/self/status").read()
os.execv("/opt/filterproxy/bin/filterproxy", ["filterproxy", "run", "-c", "/etc/filterproxy/filterproxy.toml"])
"""
"""Gives up all that podman gave, so that the file's capability alone is left, as Docker leaves it."""


@pytest.fixture(scope="module")
def wifi() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture(scope="module")
def box(wifi: Network) -> Iterator[Container]:
    """The shipped configuration, unchanged."""
    made = Container(wifi)
    try:
        made.start("-c", WITHOUT_AMBIENT, options=("--entrypoint", "python"))
        yield made
    finally:
        made.remove(volume=True)


@pytest.fixture
def other(wifi: Network, box: Container) -> Iterator[Container]:
    """A second container on the box, with a configuration of its own."""
    made = Container(wifi, name=f"{box.name}-other")
    try:
        yield made
    finally:
        made.remove(volume=True)


@pytest.mark.parametrize(("image", "megabytes"), [(FULL, 450), (DNS, 250)])
def test_it_is_as_small_as_promised(image: str, megabytes: int) -> None:
    """Below 450 MB with the inspecting proxy, below 250 without."""
    assert int(run("podman", "image", "inspect", "--format", "{{.Size}}", image).stdout) < megabytes * 1_000_000


@pytest.mark.parametrize("image", [FULL, DNS])
def test_no_list_key_or_configuration_is_in_the_image(image: str) -> None:
    """What it holds is the program: lists, configuration and state come from outside."""
    command = ["find", "/", "-xdev", "(", "-name", "sample.*", "-o", "-name", "*.key", "-o", "-name", "*.toml", ")"]
    found = run("podman", "run", "--rm", "--network", "none", "--entrypoint", command[0], image, *command[1:],
                check=False).stdout.split()  # fmt: skip
    ours = [path for path in found if "filterproxy" in path]
    assert [path for path in ours if not path.endswith("/locale/en.toml")] == []


def test_it_runs_without_root_and_keeps_no_right(box: Container) -> None:
    """With the file's capability alone it binds 53 and 80; then no process of it may do anything special."""
    script = (
        "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; "
        "grep -E '^(Uid|CapPrm|CapEff|CapAmb|NoNewPrivs)' $p/status; done"
    )
    text = run("podman", "exec", box.name, "sh", "-c", script).stdout
    ours = text.split("/opt/filterproxy/bin/python ")[1:]
    assert len(ours) >= 3
    for process in ours:
        assert "Uid:\t10001\t10001" in process
        for name in ("CapPrm", "CapEff", "CapAmb"):
            assert f"{name}:\t0000000000000000" in process
        assert "NoNewPrivs:\t1" in process
    written = run("podman", "exec", box.name, "sh", "-c", "touch /etc/filterproxy/x /opt/filterproxy/x", check=False)
    assert written.returncode != 0
    assert "Read-only file system" in written.stderr


def test_a_phone_is_led_to_the_notice_and_elsewhere_as_ever(wifi: Network, box: Container) -> None:
    """With dig and curl on the phone: listed names lead to the box and its notice; others to their site."""
    assert wifi.phones("dig", "+short", "trap.example").stdout == f"{BOX}\n"
    assert "EDE: 15 (Blocked)" in wifi.phones("dig", "+tcp", "below.trap.example").stdout
    assert wifi.phones("dig", "+short", "library.example").stdout == f"{ELSEWHERE}\n"
    assert wifi.phones("dig", "+short", "home.example").stdout == ""  # a site that would reach into this network
    notice = wifi.phones("curl", "-si", "http://trap.example/any/page").stdout
    assert notice.startswith("HTTP/1.1 403")
    assert 'rel="blocked-by"' in notice
    assert "Wi-Fi of the Example Library" in notice
    assert "An ordinary site" in wifi.phones("curl", "-s", "http://library.example/").stdout


@pytest.mark.parametrize("kind", [1, 2], ids=["tcp", "quic"])
def test_https_of_a_listed_site_is_refused_at_once(wifi: Network, box: Container, kind: int) -> None:
    """Nobody waits: the kernel resets TCP 443, and answers UDP 443 by ICMP."""
    script = (
        f"import socket\ns = socket.socket(2, {kind})\ns.settimeout(5)\n"
        f"try:\n s.connect(('{BOX}', 443)); s.send(bytes(1200)); s.recv(1)\n"
        "except ConnectionRefusedError: print('refused')"
    )
    begun = time.monotonic()
    assert wifi.phones("python3", "-c", script).stdout == "refused\n"
    assert time.monotonic() - begun < 4
    advice = box.inside("doctor", check=False).stdout
    assert f"ok    https at the notice address {BOX}/tcp: refused at once" in advice
    assert f"ok    https at the notice address {BOX}/udp: refused at once" in advice


def test_a_guest_with_a_browser(wifi: Network, box: Container, tmp_path: Path) -> None:
    """Chromium on the phone: the notice, an objection, its receipt; https fails fast; an ordinary site is there."""
    chromium = tmp_path / "chromium"
    chromium.write_text(f'#!/bin/sh\nexec ip netns exec {wifi.phone} /usr/bin/chromium "$@"\n')
    chromium.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=FLAGS)
        page = browser.new_context(java_script_enabled=False, locale="en-GB").new_page()
        page.goto("http://library.example/")
        assert page.title() == "An ordinary site"
        answer = page.goto("http://trap.example/")
        assert answer is not None
        assert answer.status == 403
        page.get_by_role("button", name="Ask us to look again").click()
        assert page.url == f"http://{BOX}/appeal"
        begun = time.monotonic()
        with pytest.raises(Exception, match="ERR_CONNECTION_REFUSED"):
            page.goto("https://trap.example/")
        assert time.monotonic() - begun < 5
        browser.close()


def test_nothing_on_the_way_asks_for_a_certificate(wifi: Network, box: Container) -> None:
    """Guests are never offered a CA: no proxy runs, none was made, and no page of the box leads to one."""
    assert run("podman", "exec", box.name, "sh", "-c", "ls -R /var/lib/filterproxy").stdout.count("mitmproxy") == 0
    for path in ("/notice", "/appeal", "/transparency"):
        page = wifi.phones("curl", "-s", f"http://{BOX}{path}").stdout
        assert not re.search(r"(?i)certificate authority|install (a|the|our) certificate|\.(pem|crt|cer|p12)\b", page)
    assert wifi.phones("curl", "-s", "-m", "2", f"http://{BOX}:8080/", check=False).returncode == 7


def test_a_stranger_is_refused(wifi: Network, box: Container) -> None:
    """Who is not in dns.clients gets REFUSED, so the box cannot be turned against others."""
    run("ip", "-n", wifi.phone, "addr", "add", "192.0.2.57/32", "dev", "lo")
    run("ip", "-n", wifi.box, "route", "add", "192.0.2.57/32", "via", "10.20.0.57")
    answer = wifi.phones("dig", "-b", "192.0.2.57", f"@{BOX}", "library.example").stdout
    assert "status: REFUSED" in answer
    assert "EDE: 18 (Prohibited)" in answer


def test_a_taken_port_is_one_line(other: Container) -> None:
    """A second one beside the first says which address is taken, and ends."""
    other.start(ready=False)
    code, log = other.ended()
    assert (code, log) == (2, f"filterproxy: dns.listen[0]: {BOX}:53/udp is taken by another program\n")


WRONG = [
    ("[dns]\n", "[dns]\nlisten_on = 1\n", "dns.listen_on: unknown key"),
    ('clients = ["10.0.0.0/8"', 'clients = ["0.0.0.0/0"', "dns.clients: 0.0.0.0/0 would serve the Internet"),
    (f'listen = ["{BOX}:53"]', 'listen = ["10.20.0.99:53"]', "10.20.0.99:53/udp is not an address of this machine"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "said"), WRONG)
def test_a_wrong_configuration_is_one_line(
    wifi: Network, box: Container, tmp_path: Path, before: str, after: str, said: str
) -> None:
    """It names the key and ends; also where it would be an open resolver."""
    text = WIFI.read_text()
    assert before in text
    config = tmp_path / "wrong.toml"
    config.write_text(text.replace(before, after, 1))
    config.chmod(0o644)
    wrong = Container(wifi, config, name=f"{box.name}-wrong")
    try:
        wrong.start(ready=False)
        code, log = wrong.ended()
    finally:
        wrong.remove(volume=True)
    assert code == 2
    assert said in log
    assert log.count("\n") == 1


def test_a_missing_volume_is_one_line(other: Container) -> None:
    """Without a place for people's appeals it does not start."""
    other.start(ready=False, volume=False)
    code, log = other.ended()
    assert (code, log.count("\n")) == (2, 1)
    assert "runtime.state: /var/lib/filterproxy" in log
    assert "mount a volume there" in log


def test_without_its_capability_it_says_so(other: Container) -> None:
    """Where the container was not given NET_BIND_SERVICE, the line says what is missing."""
    other.start(
        "-c",
        WITHOUT_AMBIENT,
        ready=False,
        options=("--entrypoint", "python", "--cap-drop", "all", "--security-opt", "no-new-privileges"),
    )
    code, log = other.ended()
    assert code == 2
    assert log.endswith("may not be bound: a port below 1024 takes root or the capability NET_BIND_SERVICE\n")


def test_a_restart_keeps_appeals_overrides_and_lists(wifi: Network, box: Container) -> None:
    """SIGTERM drains and ends with 0; a new container on the volume knows all that the old one knew."""
    form = wifi.phones("curl", "-s", f"http://{BOX}/appeal").stdout
    fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', form))
    fields |= {"address": "trap.example", "url": "trap.example", "message": "A library lists its books there."}
    posted = [part for name, value in fields.items() for part in ("--data-urlencode", f"{name}={value}")]
    page = wifi.phones("curl", "-s", f"http://{BOX}/appeal", "-H", f"Origin: http://{BOX}", *posted).stdout
    receipt = re.search(r"FP-[A-Z0-9]{4}-[A-Z0-9]{4}", page)
    assert receipt is not None, page
    box.inside("appeals", "decide", receipt[0], "grant", "--reason", "A library")
    assert wifi.phones("dig", "+short", "trap.example").stdout == f"{ELSEWHERE}\n"
    before = box.inside("lists", "status", check=False).stdout
    assert box.stop() == 0
    assert "stopped" in box.log()
    box.remove()
    box.start()
    assert wifi.phones("dig", "+short", "trap.example").stdout == f"{ELSEWHERE}\n"
    assert "granted" in box.inside("appeals", "show", receipt[0], "--json").stdout
    assert box.inside("lists", "status", check=False).stdout.count("\n") == before.count("\n")


def test_the_full_image_looks_inside_and_the_small_one_says_that_it_cannot(
    wifi: Network, box: Container, tmp_path: Path
) -> None:
    """The sample configuration runs in the full image, proxy and all; in the small one it is one line."""
    config = tmp_path / "sample.toml"
    sample = (ROOT / "config" / "filterproxy.toml").read_text().replace(":8001", ":8002").replace(":9464", ":9465")
    config.write_text(sample.replace('state = "state"', 'state = "/var/lib/filterproxy"'))
    config.chmod(0o644)
    full = Container(wifi, config, name=f"{box.name}-full", image=FULL)
    small = Container(wifi, config, name=f"{box.name}-small")
    try:
        small.start(ready=False)
        code, log = small.ended()
        assert (code, log.count("\n")) == (2, 1)
        assert "inspection.enabled: mitmproxy is not installed here" in log
        full.start()
        proxied = ["curl", "-si", "-x", "http://127.0.0.1:8080", "http://pictures.example/albums/2041/page1.html"]
        notice = run("ip", "netns", "exec", wifi.box, *proxied).stdout
        assert 'rel="blocked-by"' in notice
        assert full.stop() == 0
    finally:
        full.remove(volume=True)
        small.remove(volume=True)
