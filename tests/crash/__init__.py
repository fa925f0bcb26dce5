"""What smailer promises, tried: mails are handed in while something is broken, and all are counted."""
