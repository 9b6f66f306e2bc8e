"""What stands in for a language model: it answers with what a request holds, and holds nothing itself."""
