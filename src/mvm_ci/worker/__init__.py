"""The worker's process: session with the control plane, engine, state directory."""
