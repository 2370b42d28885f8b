"""Reading a request log, whatever form it has."""
