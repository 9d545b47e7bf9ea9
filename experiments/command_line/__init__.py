"""How programs are started, set by flags, and watched."""
