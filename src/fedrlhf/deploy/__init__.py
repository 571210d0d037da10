"""How runs reach the machines that do them."""
