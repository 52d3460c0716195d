"""Forecasts: the verdicts that an audit can reach, before it runs."""
