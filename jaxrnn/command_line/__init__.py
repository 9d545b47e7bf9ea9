"""The commands: how they are launched, set by flags, and watched."""
