"""What we remember about a person.

The rules (categories, capture, recall, brief) are plain functions; the backends behind `store.Store` are thin; and
`manager.MemoryManager` is where both meet the user of the running session.
"""
