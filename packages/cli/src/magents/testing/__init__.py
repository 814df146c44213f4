"""What tests of agents need: a stand-in for the models, a lab of real programs, and what every runtime must hold.

It is for the tests of Magents itself and for the authors of harnesses and runtimes; it needs pytest, and nothing of
Magents imports it.
"""
