//! A kernel that refuses keyrings, as Docker's default filter makes it.

/// Makes `keyctl` and `add_key` of this process, and of what it becomes, fail with `errno`.
pub fn refuse_keyrings(errno: u32) -> std::io::Result<()> {
    const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let number = |call: libc::c_long| u32::try_from(call).unwrap_or(u32::MAX);
    let mut program = [
        step(LOAD_NUMBER, 0, 0, 0),
        step(JUMP_EQUAL, 1, 0, number(libc::SYS_keyctl)),
        step(JUMP_EQUAL, 0, 1, number(libc::SYS_add_key)),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: 5,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: plain numbers.
    let quiet = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the filter and its program outlive the call, which copies them.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) };
    if quiet == 0 && set == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}
