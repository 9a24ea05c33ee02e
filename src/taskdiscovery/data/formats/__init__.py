"""How files of tables and arrays are stored, and how they are read within a budget of memory."""
