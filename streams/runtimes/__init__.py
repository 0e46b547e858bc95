"""Runtimes: thin, strangers to each other; they own time, threads and topics, and no opinion about scenes."""
