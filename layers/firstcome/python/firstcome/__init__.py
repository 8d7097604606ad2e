"""Firstcome: limited coupons, first come, first served.

The domain (`model`, `times`, `message`, `apply`, `drain`, `relay`, `campaigns`) imports no AWS, Redis or MySQL client;
it talks to them through `ports`. `adapters` hold one client each, `bootstrap` builds them, `http_api` is the edge.
"""
