"""What protects the same guest, one module each; tools/bench-qemu is the command."""
