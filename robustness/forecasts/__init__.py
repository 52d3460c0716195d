"""What an audit can show before it runs."""
