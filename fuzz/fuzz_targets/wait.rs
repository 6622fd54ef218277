#![no_main]

carousel_fuzz::target!(wait);
