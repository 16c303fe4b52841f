"""Ed25519 signatures. Imported when there is first something to sign: cryptography costs some 8 MiB."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def public_of(private: bytes) -> bytes:
    """Return the public key of a private one, both as 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def sign(private: bytes, data: bytes) -> bytes:
    """Return the signature of `data`."""
    return Ed25519PrivateKey.from_private_bytes(private).sign(data)


def is_signed(public: bytes, data: bytes, signature: bytes) -> bool:
    """Return whether `signature` is the one of `data`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except InvalidSignature:
        return False
    return True


def pem_of(public: bytes) -> str:
    """Return a public key as PEM."""
    key = Ed25519PublicKey.from_public_bytes(public)
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def private_from_pem(pem: bytes) -> bytes:
    """Return the private key that a PEM holds. Raises ValueError: «must be …»."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError("must be a PEM with a private key and without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("must be an Ed25519 key")  # noqa: TRY004 (the value is wrong, not the code)
    return key.private_bytes_raw()


def public_from_pem(pem: bytes) -> bytes:
    """Return the public key that a PEM holds. Raises ValueError: «must be …»."""
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError as error:
        raise ValueError("must be a PEM with a public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("must be an Ed25519 key")  # noqa: TRY004 (the value is wrong, not the code)
    return key.public_bytes_raw()
