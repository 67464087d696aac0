fn main() {
    inner::nothing();
}
