"""What tests, measurements and tools share: fake cameras, rendered hands and boards, files, faults."""
