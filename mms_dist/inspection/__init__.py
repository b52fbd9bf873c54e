"""A run and what it needs, looked at from outside: before it starts, while it goes on, and after."""
