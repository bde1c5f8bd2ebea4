import pytest
from azure.servicebus import parse_connection_string as sdk_parse

from exporters.servicebus.connection import (
    ConnectionStringError,
    Endpoint,
    EndpointNotAllowedError,
    EndpointPolicy,
    parse_connection_string,
    parse_host,
)

KEY = "c2VjcmV0LWtleS10aGF0LW11c3Qtbm90LXNob3c="
WHOLE = f"Endpoint=sb://pay.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={KEY}"


@pytest.mark.parametrize("suffix", ["", ";EntityPath=team/orders"])
def test_a_connection_string_is_read_as_the_sdk_reads_it(suffix: str) -> None:
    ours, sdk = parse_connection_string(WHOLE + suffix), sdk_parse(WHOLE + suffix)
    assert ours.endpoint.host == sdk.fully_qualified_namespace
    assert ours.key_name == sdk.shared_access_key_name
    assert ours.key == sdk.shared_access_key
    assert (ours.entity_path or None) == sdk.entity_path


def test_the_port_is_kept() -> None:
    text = WHOLE.replace(".net/", ".net:8443/")
    assert parse_connection_string(text).endpoint == Endpoint("pay.servicebus.windows.net", 8443)


def test_a_ready_made_signature_is_taken_as_it_is() -> None:
    token = (
        "SharedAccessSignature sr=sb%3a%2f%2fpay.servicebus.windows.net%2f&sig=abc%3d&se=1900000000&skn=Root"
    )
    parsed = parse_connection_string(
        f"Endpoint=sb://pay.servicebus.windows.net/;SharedAccessSignature={token}"
    )
    assert parsed.signature == token
    assert not parsed.key


def test_the_local_emulator_is_read_over_plain_http_on_its_own_port() -> None:
    text = "Endpoint=sb://localhost;SharedAccessKeyName=Root;SharedAccessKey=x;UseDevelopmentEmulator=true;"
    assert parse_connection_string(text).endpoint == Endpoint("localhost", 5300, "http")
    with_port = text.replace("localhost", "localhost:7300")
    assert parse_connection_string(with_port).endpoint.port == 7300


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no Endpoint="),
        ("hello", "incomplete or has a part without “=”"),
        (WHOLE[: WHOLE.index(";SharedAccessKey=")], "no SharedAccessKey="),
        (WHOLE[: WHOLE.index(KEY)], "no SharedAccessKey="),
        (WHOLE[: WHOLE.index("Name")], "incomplete"),
        (WHOLE.replace("SharedAccessKeyName=Root;", ""), "no SharedAccessKeyName="),
        (WHOLE.partition(";")[2], "no Endpoint="),
        (WHOLE + ";" + WHOLE, "twice"),
        (WHOLE.replace("sb://pay", "sb://user:pass@pay"), "username"),
        (WHOLE.replace(".net/", ".net:0/"), "port"),
        (WHOLE.replace(".net/", ".net/queue"), "path"),
        ("Endpoint=sb://a.servicebus.windows.net/;SharedAccessSignature=sr=x", "starts with"),
        (
            "Endpoint=sb://a.servicebus.windows.net/;SharedAccessSignature=SharedAccessSignature sr=x",
            "no sig=",
        ),
    ],
)
def test_a_connection_string_that_cannot_be_used_says_how_to_fix_it_and_repeats_no_secret(
    text: str, says: str
) -> None:
    with pytest.raises(ConnectionStringError) as raised:
        parse_connection_string(text)
    assert says in str(raised.value)
    assert KEY not in str(raised.value)
    assert "pass" not in str(raised.value).replace("password", "")


def test_what_is_parsed_shows_no_secret() -> None:
    assert KEY not in repr(parse_connection_string(WHOLE))


ALLOWED = ["a.servicebus.windows.net", "A.ServiceBus.Windows.Net.", "b.servicebus.chinacloudapi.cn:443"]
REFUSED = [
    "127.0.0.1",
    "[::1]",
    "localhost",
    "x.localhost",
    "169.254.169.254",
    "10.0.0.1",
    "2130706433",
    "0x7f000001",
    "127.1",
    "servicebus.windows.net",
    "evil.example",
    "x.servicebus.windows.net.evil.example",
    "xservicebus.windows.net",
]


@pytest.mark.parametrize("host", ALLOWED)
def test_service_bus_names_are_allowed(host: str) -> None:
    EndpointPolicy().check_host(parse_host(host))


@pytest.mark.parametrize("host", REFUSED)
def test_every_other_host_is_refused(host: str) -> None:
    with pytest.raises(EndpointNotAllowedError):
        EndpointPolicy().check_host(parse_host(host))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evil.example/.servicebus.windows.net",
        "evil.example#.servicebus.windows.net",
        "evil.example?.servicebus.windows.net",
        "evil.example\\.servicebus.windows.net",
        "user@a.servicebus.windows.net",
        "a.servicebus.windows.net@evil.example",
        "ftp://a.servicebus.windows.net",
        "a b.servicebus.windows.net",
        "a_b.servicebus.windows.net",
        "-a.servicebus.windows.net",
        "a..servicebus.windows.net",
        "a.servicebus.windows.net:http",
        "a.servicebus.windows.net:70000",
    ],
)
def test_a_text_that_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        EndpointPolicy().check_host(parse_host(text))


def test_a_suffix_can_be_added() -> None:
    EndpointPolicy(suffixes=("bus.corp.example",)).check_host(parse_host("pay.bus.corp.example"))


@pytest.mark.parametrize("host", ["localhost:5300", "x.servicebus.localhost", "127.0.0.1", "[::1]:443"])
def test_this_machine_is_allowed_where_the_platform_says_so(host: str) -> None:
    EndpointPolicy(allow_loopback=True).check_host(parse_host(host))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "fe80::1%eth0",
        "0.0.0.0",
        "224.0.0.1",
        "fd00:ec2::254",
        "168.63.129.16",
    ],
)
def test_addresses_that_service_bus_cannot_have_are_refused(address: str) -> None:
    with pytest.raises(EndpointNotAllowedError):
        EndpointPolicy().check_address(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "172.16.3.4", "192.168.1.1", "fd12::1", "20.50.1.1"])
def test_private_addresses_are_fine_for_private_endpoints(address: str) -> None:
    EndpointPolicy().check_address(address)


@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "nonsense"])
def test_loopback_being_allowed_opens_nothing_else(address: str) -> None:
    with pytest.raises(EndpointNotAllowedError):
        EndpointPolicy(allow_loopback=True).check_address(address)
