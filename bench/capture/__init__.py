"""An animated picture of ``rocket-cli top`` on a server that slow clients beset."""
