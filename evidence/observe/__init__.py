"""What logs say of connections, made comparable with what was computed: pure values and functions, no files, no clock."""
