"""Requests are signed as Amazon's documents show it, and as Amazon's own client does it."""

import calendar
from datetime import UTC, datetime
from unittest import mock
from urllib.parse import urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from tenantry.audit_logs.streams.sigv4 import Signer, encoded, host_of, signed

# Amazon S3 API reference, «Examples: Signature calculations».
DOCUMENTED = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
DOCUMENTED_AT = calendar.timegm((2013, 5, 24, 0, 0, 0)) * 1000
HOST = "https://examplebucket.s3.amazonaws.com"


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "signature"),
    [
        (
            "PUT",
            "/test$file.text",
            {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/test.txt",
            {"range": "bytes=0-9"},
            b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
    ],
)
def test_the_documents_examples_get_the_signatures_that_stand_there(
    method: str, path: str, headers: dict[str, str], body: bytes, signature: str
) -> None:
    made = signed(DOCUMENTED, method, HOST + encoded(path), headers, body, DOCUMENTED_AT)
    assert made["authorization"].rpartition("Signature=")[2] == signature
    assert made["x-amz-date"] == "20130524T000000Z"


header_values = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@given(
    path=st.text(min_size=1, max_size=40),
    host=st.sampled_from(["s3.eu-central-1.amazonaws.com", "bucket.store.example:9000", "127.0.0.1:8333"]),
    values=st.lists(header_values, max_size=3),
    body=st.binary(max_size=100),
    milliseconds=st.integers(0, 4_000_000_000_000),
)
def test_a_request_is_signed_as_amazons_client_signs_it(
    path: str, host: str, values: list[str], body: bytes, milliseconds: int
) -> None:
    signer = Signer("AKIDEXAMPLE", "secret/+key", "eu-central-1")
    url = f"https://{host}" + encoded(f"/{path}")
    headers = {f"x-amz-meta-{number}": value for number, value in enumerate(values)}
    ours = signed(signer, "PUT", url, headers, body, milliseconds)
    theirs = AWSRequest("PUT", url, headers=dict(headers), data=body)
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    credentials = Credentials(signer.access_key_id, signer.secret_access_key)
    with mock.patch.object(auth, "get_current_datetime", return_value=moment):
        auth.S3SigV4Auth(credentials, "s3", signer.region).add_auth(theirs)
    assert ours["authorization"] == theirs.headers["Authorization"].replace(", ", ",")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://store.example/key", "store.example"),
        ("https://store.example:443/key", "store.example"),
        ("http://store.example:80/key", "store.example"),
        ("http://store.example:443/key", "store.example:443"),
        ("https://[2001:db8::1]:9000/key", "[2001:db8::1]:9000"),
        ("https://[2001:db8::1]/key", "[2001:db8::1]"),
    ],
)
def test_the_host_is_signed_as_it_is_sent(url: str, host: str) -> None:
    assert host_of(url) == host
    assert str(urlsplit(url).hostname) in host
