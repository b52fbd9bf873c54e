"""Tests on several processes (gloo), and what starts them."""
