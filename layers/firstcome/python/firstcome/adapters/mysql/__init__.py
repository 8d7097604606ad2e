"""The ledger on MySQL."""
