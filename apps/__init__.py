"""Each person's own apps: a service that holds their connections, and the tools that a job makes of them.

Nothing is imported here: a job takes `apps.toolset` alone, and pays for no provider.
"""
