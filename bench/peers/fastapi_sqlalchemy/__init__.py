"""What a good engineer writes in a day: the six operations with FastAPI, Pydantic and async SQLAlchemy."""
