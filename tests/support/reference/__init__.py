"""Plain implementations and golden numbers that the product is compared with."""
