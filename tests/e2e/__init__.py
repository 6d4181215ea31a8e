"""The whole story, as a new user sees it and on two machines."""
