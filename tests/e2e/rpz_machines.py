"""Resolvers that take the list `open` as a zone: their files, as docs/isp.md has them, and how each is asked.

BIND takes zones over TLS with TSIG itself. The others have a BIND beside them that does, and gives them to nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .rpz_network import EDGE, NAMED

ZONE = "open.rpz.example"
_HINTS = f". 600 IN NS ns.example.\nns.example. 600 IN A {EDGE}\n"

_BIND = """
key "{id}.example" {{ algorithm hmac-sha256; secret "{secret}"; }};
tls filter {{ ca-file "{ca}"; remote-hostname "transfer.example"; }};
options {{
  directory "{folder}"; pid-file none; session-keyfile none; listen-on-v6 {{ none; }};
  {options}
}};
zone "{zone}" {{
  type secondary; file "{zone}.db"; masterfile-format text; masterfile-style full;
  primaries {{ {edge} port 853 key "{id}.example" tls filter; }};
  {more}
}};
"""
_RESOLVER = """
  listen-on {{ {address}; }}; allow-query {{ any; }}; allow-transfer {{ none; }}; notify no;
  recursion yes; dnssec-validation yes; qname-minimization off;
  response-policy {{ zone "{zone}"; }} break-dnssec yes qname-wait-recurse no min-update-interval 1;
"""
_RESOLVES = """
zone "." {{ type hint; file "hints"; }};
trust-anchors {{ signed.example. static-key {flags} "{key}"; }};
controls {{ }};
"""
_STUB = """
  listen-on port 5300 {{ 127.0.0.1; {address}; }}; recursion no; dnssec-validation no;
  allow-query {{ 127.0.0.1; }}; allow-transfer {{ 127.0.0.1; }}; notify explicit; notify-delay 0; {options}
"""
_UNBOUND = """
server:
  interface: {address}
  interface: 127.0.0.1
  access-control: 10.30.0.0/24 allow
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  verbosity: 1
  root-hints: "{folder}/hints"
  module-config: "respip validator iterator"
  trust-anchor: "signed.example. DNSKEY {flags} {key}"
  do-not-query-localhost: no
rpz:
  name: {zone}
  primary: 127.0.0.1@5300
  allow-notify: 127.0.0.1
  zonefile: "{folder}/{zone}.unbound"
remote-control:
  control-enable: no
"""
_RECURSOR = """
local-address={address}
allow-from=10.30.0.0/24
daemon=no
disable-syslog=yes
config-dir={folder}
socket-dir={folder}
hint-file={folder}/hints
security-poll-suffix=
packetcache-ttl=2
dont-query=
dnssec=validate
threads=1
lua-config-file={folder}/recursor.lua
setuid=
setgid=
"""
_RECURSOR_LUA = """
clearTA(".")
addTA("signed.example", "{ds}")
rpzPrimary("127.0.0.1:5300", "{zone}", {{refresh=1}})
"""
_KNOT = """
modules = {{ 'hints > iterate' }}
net.listen('{address}', 53, {{ kind = 'dns' }})
cache.open(10 * MB, 'lmdb://{folder}/cache')
hints.root_file('{folder}/hints')
trust_anchors.remove('.')
trust_anchors.add([[signed.example. 600 DNSKEY {flags} {key}]])

local file, serial, rule = '{folder}/{zone}.db', nil, nil
local function reread()
  local opened = io.open(file)
  if not opened then return end
  local first = opened:read('*l')
  opened:close()
  if first == serial then return end
  local ok, made = pcall(policy.rpz, policy.DENY, file, false)
  if ok then serial, rule = first, made end
end
reread()
event.recurrent(1 * sec, reread)
policy.add(function (state, query)
  return rule and rule(state, query)
end)
"""


@dataclass(frozen=True)
class Trust:
    """By what `signed.example` is believed, and who gives zones."""

    flags: str
    key: str
    ds: str
    ca: Path


@dataclass(frozen=True)
class Machine:
    """A resolver's machine."""

    id: str
    address: str
    folder: Path
    secret: str

    @property
    def notified(self) -> str:
        """Where the product tells it of changes."""
        return f"{self.address}:{53 if self.id == 'bind' else 5300}"

    def programs(self, trust: Trust) -> list[list[str]]:
        """Write their files, and return the commands in the order in which they start."""
        (self.folder / "hints").write_text(_HINTS)
        words = {
            "id": self.id, "address": self.address, "folder": self.folder, "secret": self.secret, "zone": ZONE,
            "edge": EDGE, "ca": trust.ca, "flags": trust.flags, "key": trust.key, "ds": trust.ds,
        }  # fmt: skip
        if self.id == "bind":
            text = _BIND.format(
                **words, options=_RESOLVER.format(**words), more="allow-query { none; };"
            ) + _RESOLVES.format(**words)
            return [self._named(text)]
        tells = "also-notify { 127.0.0.1 port 53; };" if self.id == "unbound" else ""
        stub = _STUB.format(**words, options="request-ixfr no;" if self.id == "knot" else "")
        stubs = self._named(_BIND.format(**words, options=stub, more=tells) + "controls { };")
        if self.id == "unbound":
            (self.folder / "unbound.conf").write_text(_UNBOUND.format(**words))
            return [stubs, ["/usr/sbin/unbound", "-d", "-p", "-c", str(self.folder / "unbound.conf")]]
        if self.id == "recursor":
            (self.folder / "recursor.conf").write_text(_RECURSOR.format(**words))
            (self.folder / "recursor.lua").write_text(_RECURSOR_LUA.format(**words))
            return [stubs, ["/usr/sbin/pdns_recursor", f"--config-dir={self.folder}"]]
        (self.folder / "kresd.conf").write_text(_KNOT.format(**words))
        return [stubs, ["/usr/sbin/kresd", "-n", "-c", str(self.folder / "kresd.conf"), str(self.folder)]]

    def _named(self, text: str) -> list[str]:
        (self.folder / "named.conf").write_text(text)
        return [NAMED, "-g", "-n", "1", "-c", str(self.folder / "named.conf")]
