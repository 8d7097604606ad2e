"""How healing and reconciliation behave with large campaigns, on real servers."""
