"""The keys that checkpoints are signed with: one given by whoever runs Tenantry, or else one made here."""

import hashlib
import importlib
import re
from typing import Any

import msgspec

from tenantry.audit_logs import seals
from tenantry.audit_logs.seals import KeyRow
from tenantry.audit_logs.wire import AuditLogKey, AuditLogKeyList
from tenantry.core.db import Transaction

_PUBLIC_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_ID_LENGTH = 16
_SECRET_LENGTH = 64


def crypto() -> Any:
    """Return the module of signatures, imported when it is first needed: few servers' starts have any."""
    return importlib.import_module("tenantry.audit_logs.ed25519")


class SigningKey(msgspec.Struct, frozen=True):
    """A key that signs, as raw bytes."""

    id: str
    private: bytes

    def sign(self, data: bytes) -> bytes:
        """Return the Ed25519 signature of `data`."""
        signature: bytes = crypto().sign(self.private, data)
        return signature


def private_from_pem(pem: bytes) -> bytes:
    """Return the raw Ed25519 private key that a PEM holds. Raises ValueError: «must be …»."""
    private: bytes = crypto().private_from_pem(pem)
    return private


def id_of(public: bytes) -> str:
    """Return a key's id: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(public).hexdigest()[:_ID_LENGTH]


def signing_key(tx: Transaction, given: bytes | None) -> SigningKey:
    """Return the key to sign with: the private key `given`, or else the one made here, now if there is none yet.

    Its public key is kept from then on, so that what it signs can be checked after it is replaced.
    """
    private = given or seals.select_made_key(tx) or _made(tx)
    public = crypto().public_of(private)
    key = SigningKey(id_of(public), private)
    if seals.select_public_key(tx, key.id) is None:
        seals.insert_key(tx, KeyRow(key.id, public, tx.now), None if given else private)
    return key


def _made(tx: Transaction) -> bytes:
    return hashlib.sha256(tx.new_token(_SECRET_LENGTH).encode()).digest()


def list_keys(tx: Transaction) -> AuditLogKeyList:
    """Return the public half of every key that was signed with. There is none before the first checkpoint."""
    rows = seals.select_keys(tx)
    return AuditLogKeyList(
        [AuditLogKey(id=row.id, public_key=pem_of(row.public_key), created_at=row.created_at) for row in rows]
    )


def pem_of(public: bytes) -> str:
    """Return a public key as PEM."""
    pem: str = crypto().pem_of(public)
    return pem


def all_public_from_pem(text: bytes) -> list[bytes]:
    """Return the raw public keys of all PEMs in a text, at least one. Raises ValueError: «must be …»."""
    found: list[bytes] = [crypto().public_from_pem(pem) for pem in _PUBLIC_PEM.findall(text)]
    if not found:
        raise ValueError("must be a PEM with a public key")
    return found


def is_signed(public: bytes, data: bytes, signature: bytes) -> bool:
    """Return whether `signature` is the one of `data` by the key whose public half is `public`."""
    right: bool = crypto().is_signed(public, data, signature)
    return right
