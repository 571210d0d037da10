"""stub"""
class Variational: pass
