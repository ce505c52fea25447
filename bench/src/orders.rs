//! A message that is worth compressing.

/// 1 KiB of JSON as applications send it: a list of records with few keys and different values. As the server writes it again: members in
/// alphabetical order.
pub fn orders() -> String {
    let mut orders = String::new();
    for (i, city) in (0..).zip(CITIES.iter().cycle()) {
        let (id, cents, count) = (48_271 * (i + 1) % 99_991, 7_919 * (i + 3) % 10_000, i % 4 + 1);
        let (state, day, hour, minute) = (["open", "paid", "sent"][i % 3], i % 9, i * 7 % 10, id % 60);
        let order = format!(
            "{{\"cents\":{cents},\"city\":\"{city}\",\"count\":{count},\"id\":{id},\"state\":\"{state}\",\
             \"updated\":\"2026-11-2{day}T0{hour}:{minute:02}:17Z\"}}"
        );
        orders.push_str(&order);
        if orders.len() >= 1024 {
            break;
        }
        orders.push(',');
    }
    format!("[{orders}]")
}

const CITIES: [&str; 9] = ["Lisbon", "Oslo", "Vienna", "Cork", "Turin", "Gdansk", "Ghent", "Malmo", "Porto"];
