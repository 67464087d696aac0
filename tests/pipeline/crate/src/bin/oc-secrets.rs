fn main() {
    println!("oc-secrets {}", env!("CARGO_PKG_VERSION"));
}
