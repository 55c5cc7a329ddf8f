"""What `opensymphony doctor` does besides looking: it tries the agent-server (`live`) and the model (`model`).

Everything happens in a directory of its own that nobody else uses, and nothing of it is left (`place`, `guard`).
"""
