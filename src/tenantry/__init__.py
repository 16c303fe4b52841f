"""Tenantry: an open, durable, self-hosted organization directory that speaks the WorkOS wire protocol."""

__version__ = "0.1.0"
