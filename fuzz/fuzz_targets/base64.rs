#![no_main]

carousel_fuzz::target!(base64);
