"""Lists: from a source to a segment in force, through formats that never widen and gates that refuse."""
