"""A configuration is used whole or not at all, and one line says why not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filterproxy.errors import ConfigError
from filterproxy.settings import Settings, load, load_text
from filterproxy.settings.lists import List

KEY = "0" * 43 + "="
LIST = '[[lists]]\nid = "a"\nsource = "a.urls"\nformat = "urls"\n'


def test_an_empty_file_is_a_configuration():
    """Every table has defaults."""
    assert load_text("") == Settings()


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("[dns]\nlisten_on = 1", "dns.listen_on", "unknown key"),
        ("[dsn]", "dsn", "unknown key"),
        ('[dns]\nlisten = ["53"]', "dns.listen.0", "ADDRESS:PORT"),
        ('[dns]\nlisten = ["::1:53"]', "dns.listen.0", "ADDRESS:PORT"),
        ('[dns]\nclients = ["home"]', "dns.clients.0", "a network such as"),
        ('[dns]\nclients = ["0.0.0.0/0"]', "dns.clients", "would serve the Internet"),
        ('[dns]\nclients = ["0.0.0.0/1", "128.0.0.0/1"]', "dns.clients", "would serve the Internet"),
        ('[dns]\nclients = ["10.0.0.0/8", "64.0.0.0/7"]', "dns.clients", "64.0.0.0/7 would serve the Internet"),
        ('[dns]\nclients = ["2000::/3"]', "dns.clients", "would serve the Internet"),
        ('[gateway]\nclients = ["::/0"]', "gateway.clients", "would serve the Internet"),
        ("[portal]\ncaptive_api = true", "portal", "captive_api needs an https url"),
        ('[dns]\ntimeout = "soon"', "dns.timeout", "a duration such as"),
        ("[dns]\ntimeout = true", "dns.timeout", "a duration such as"),
        ("[dns]\nblock_ttl = 3600", "dns.block_ttl", "less than or equal to 60"),
        ('[portal]\nurl = "notice.example/page"', "portal.url", "an origin such as"),
        ('[operator]\ncountry = "Atlantis"', "operator.country", "match pattern"),
        (LIST + LIST, "", "the id a stands twice"),
        (LIST + "http_status = 451", "lists.0", "only for basis law or court"),
        (LIST + "mandatory = true\nopt_out = true", "lists.0", "no opt_out"),
        (LIST + 'action = "flag"', "lists.0", "only keyword lists flag or warn"),
        (LIST + 'action = "inspect"', "lists.0.action", "block, allow, flag or warn"),
        (LIST.replace('"urls"', '"zip"'), "lists.0.format", "urls"),
        ('[[profiles]]\nid = "p"\nlists = ["b"]', "", "there is no list b"),
        ('[alerts]\nemail = ["noc@operator.example"]', "alerts.email", "needs mail.server and mail.sender"),
        ('[alerts]\nemail = ["noc@operator.example>"]', "alerts.email.0", "an e-mail address such as"),
        ('[alerts]\nemail = ["a@b.example\\nBcc: c@d.example"]', "alerts.email.0", "an e-mail address such as"),
        ('[alerts]\ndomains = ["*.shop.example"]', "alerts.domains.0", "a host name such as"),
        ('[alerts]\ndomains = ["https://shop.example/"]', "alerts.domains.0", "a host name such as"),
        ('[alerts]\nwebhook = "http://hooks.example/in"', "alerts.webhook", "whoever is on the way"),
        ('[alerts]\nwebhook = "https://name:word@hooks.example/"', "alerts.webhook", "without a name"),
        ('[alerts]\nwebhook = "hooks.example/in"', "alerts.webhook", "an https URL"),
        ('[alerts]\nwebhook = "https://hooks.example/in\\r\\nHost: x"', "alerts.webhook", "an https URL"),
        ('[mail]\nserver = "mail.example"\ntls = "none"', "mail", "only for a server on loopback"),
        ('[mail]\nuser = "filter"', "mail", "user and password go together"),
        ('[mail]\nserver = "mail example"', "mail.server", "a host name such as"),
        ('[mail]\nsender = "filter"', "mail.sender", "an e-mail address such as"),
        ('[alerts]\nwebhook = "https:/hooks.example/in"', "alerts.webhook", "an https URL"),
        ('[alerts]\nwebhook = "http:/127.0.0.1/in"', "alerts.webhook", "an https URL"),
        ('[alerts]\nwebhook = "http://127.0.0.1\\\\.hooks.example/in"', "alerts.webhook", "an https URL"),
        ('[alerts]\nwebhook = "https://h%6foks.example/"', "alerts.webhook", "an https URL"),
        ('[alerts]\nwebhook_ca = "a\\u0000b"', "alerts.webhook_ca", "a path"),
        ('[mail]\npassword = ""', "mail.password", "a path"),
        ("[alerts]\nquarantine = nan", "alerts.quarantine", "a duration such as"),
        ("[alerts]\nquarantine = inf", "alerts.quarantine", "from 0 to"),
        ("[alerts]\nlicence = -1", "alerts.licence", "from 0 to"),
        (LIST + "max_growth = nan", "lists.0.max_growth", ""),
        (LIST + "max_removed = nan", "lists.0.max_removed", ""),
        (LIST + "max_removed = inf", "lists.0.max_removed", ""),
        (LIST + "max_age = 0", "lists.0", "max_age"),
        (LIST + "min_entries = 5\nmax_entries = 2", "lists.0", "min_entries"),
        (LIST + "licence_until = 0", "lists.0.licence_until", "a date such as"),
        (LIST + "licence_until = false", "lists.0.licence_until", "a date such as"),
        (LIST + 'within = "../other"', "lists.0.within", "inside the source"),
        (LIST + 'within = "/etc"', "lists.0.within", "inside the source"),
        (LIST + 'within = "a\\u0000b"', "lists.0.within", "inside the source"),
        (LIST + '[lists.signed]\nsignature = "a.sig"', "lists.0.signed", "set signed.key"),
        (LIST + f'[lists.signed]\nkey = "{KEY}"\nsignature = "http://h.example/"', "lists.0.signed.signature", "https"),
        (LIST + f'[lists.signed]\nkey = "{KEY}"\nsignature = "a\\u0000b"', "lists.0.signed.signature", "NUL"),
        (LIST + '[lists.fetch]\nheaders = "a\\u0000b"', "lists.0.fetch.headers", "a path"),
        (LIST + '[lists.fetch]\nca = ""', "lists.0.fetch.ca", "a path"),
        (LIST + "[lists.fetch]\ntimeout = 0", "lists.0.fetch.timeout", "greater than 0"),
        (LIST + "[lists.columns]\ndelimiter = '\"'", "lists.0.columns.delimiter", "one character"),
        (LIST + '[lists.columns]\ndelimiter = "\\u0000"', "lists.0.columns.delimiter", "one character"),
        ("[dns", "", "not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_key_in_one_line(text, key, reason):
    """The operator reads the key and the reason, on one line."""
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    message = str(caught.value)
    assert message.startswith(key)
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize("url", [
    "http://h.example/secret", " https://h.example/secret", "ftp://h.example/secret", "https:/h.example/secret",
    "https:h.example/secret", "https://", "https:///name:secret@h.example/", "https://name:secret@h.example/",
    "https://h.example:99999/secret", "https://h.example:0/secret", "https://[::1/secret", "https://h .example/secret",
    "https://h.example\\secret",
])  # fmt: skip
def test_a_source_that_is_nearly_an_https_url_is_never_taken_for_a_path(url):
    """Its path and password would stand in every log; what is said of it holds nothing of it."""
    for key in ("source", "signature"):
        table = {"key": KEY, "signature": url} if key == "signature" else {}
        with pytest.raises(ValidationError) as caught:
            List(id="a", source=url if key == "source" else "a.urls", signed=table)
        assert "secret" not in str(caught.value.errors(include_input=False, include_context=False))


@pytest.mark.parametrize("network", ["10.0.0.0/8", "198.51.100.0/24", "64.0.0.0/8", "fc00::/7", "2001::/20"])
def test_the_networks_of_an_operator_are_served(network):
    """What one operator's customers may have, private or public, is no Internet."""
    assert load_text(f'[dns]\nclients = ["{network}"]').dns.clients == (network,)


@pytest.mark.parametrize("text", [
    '[alerts]\nwebhook = "http://127.0.0.1:9000/in"', '[alerts]\nwebhook = "http://[::1]/in"',
    '[alerts]\nwebhook = "http://localhost/in"', '[mail]\nserver = "127.0.0.2"\ntls = "none"',
    '[alerts]\nemail = ["a.b+c@xn--bcher-kva.example"]\n[mail]\nserver = "::1"\nsender = "f@o.example"',
])  # fmt: skip
def test_this_machine_may_be_told_in_clear(text):
    """Nobody is on the way to loopback."""
    load_text(text)


@given(st.text(max_size=300))
def test_any_text_is_settings_or_a_configuration_error(text):
    """Whatever stands in the file, it is used or refused, never a traceback."""
    try:
        load_text(text)
    except ConfigError as error:
        assert "\n" not in str(error)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """A missing, binary or unreadable file is one line with its path."""
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        load(tmp_path / "missing.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.toml: not UTF-8"):
        load(binary)


@pytest.mark.parametrize(
    ("basis", "status", "ede"), [("law", 451, 16), ("court", 451, 16), ("voluntary", 403, 15), ("subscriber", 403, 17)]
)
def test_status_and_ede_follow_the_basis_unless_said(basis, status, ede):
    """451 and 16 are said only of legal demands (RFC 7725, RFC 8914)."""
    listing = load_text(LIST + f'basis = "{basis}"').listings[0]
    assert (listing.http_status, listing.ede) == (status, ede)
    assert load_text(LIST + f'basis = "{basis}"\nhttp_status = 404\nede = 15').listings[0].http_status == 404


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("15 m", 900), ("12h", 43200), ("7d", 604800), ("2w", 1209600), ("000000000000001d", 86400)],
)
def test_durations_are_written_as_people_write_them(text, seconds):
    """A number with a unit, or plain seconds."""
    assert load_text(f'[dns]\ntimeout = "{text}"').dns.timeout.total_seconds() == seconds
    assert load_text(f"[dns]\ntimeout = {seconds}").dns.timeout.total_seconds() == seconds


@pytest.mark.parametrize(("listen", "upstream", "circle"), [
    ("127.0.0.1:53", "127.0.0.1:53", True),
    ("127.0.0.1:53", "127.0.0.1:5353", False),
    ("127.0.0.1:53", "127.0.0.53:53", False),
    ("0.0.0.0:53", "127.0.0.53:53", True),
    ("0.0.0.0:53", "192.0.2.1:53", False),
    ("[::]:53", "[::1]:53", True),
    ("[::]:53", "127.0.0.1:53", False),
    ("[::1]:53", "[0:0::1]:53", True),
    ("127.0.0.1:53", "[::ffff:127.0.0.1]:53", True),
    ("127.0.0.1:53", "0.0.0.0:53", True),
    ("192.0.2.1:53", "0.0.0.0:53", False),
])  # fmt: skip
def test_the_resolver_is_not_its_own_upstream(listen, upstream, circle):
    """A question that comes back to us would go round until nobody is answered."""
    text = f'[dns]\nlisten = ["127.0.0.9:99", "{listen}"]\nupstreams = ["192.0.2.9:53", "{upstream}"]\n'
    if circle:
        with pytest.raises(ConfigError, match=r"dns\.upstreams: .*" + re.escape(upstream)):
            load_text(text)
        load_text(text + "enabled = false")
    else:
        load_text(text)
