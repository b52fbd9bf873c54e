"""Write down what is said in recordings of any length, with times."""
