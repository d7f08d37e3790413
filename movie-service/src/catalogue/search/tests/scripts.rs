//! Films in other scripts than Latin: found by a part of the title, and by its beginning.

use super::common::Films;

const CYRILLIC: &str = "Броненосец Потёмкин|Летят журавли|Баллада о солдате|Иваново детство|Андрей Рублёв|Солярис|Зеркало|Сталкер|Ностальгия|Жертвоприношение|Иди и смотри|Восхождение|Война и мир|Судьба человека|Москва слезам не верит|Ирония судьбы, или С лёгким паром!|Бриллиантовая рука|Кавказская пленница|Операция «Ы» и другие приключения Шурика|Иван Васильевич меняет профессию|Служебный роман|Осенний марафон|Белое солнце пустыни|Джентльмены удачи|Двенадцать стульев|Золотой телёнок|Гараж|Берегись автомобиля|Курьер|Асса|Брат|Брат 2|Сибирский цирюльник|Утомлённые солнцем|Возвращение|Изгнание|Елена|Левиафан|Нелюбовь|Ночной дозор|Дневной дозор|Русский ковчег|Фауст|Александр Невский|Иван Грозный|Человек с киноаппаратом|Октябрь|Земля|Кубанские казаки|Весёлые ребята|Цирк|Волга-Волга";
const GREEK: &str = "Αλέξης Ζορμπάς|Το βλέμμα του Οδυσσέα|Μια αιωνιότητα και μια μέρα|Ο Θίασος|Τοπίο στην ομίχλη|Ταξίδι στα Κύθηρα|Ο Μελισσοκόμος|Οι κυνηγοί|Ο Μεγαλέξανδρος|Αναπαράσταση|Το λιβάδι που δακρύζει|Η σκόνη του χρόνου|Κυνόδοντας|Άλπεις|Ο αστακός|Στέλλα|Το κορίτσι με τα μαύρα|Ηλέκτρα|Ιφιγένεια|Τρωάδες|Μαγική πόλις|Ο δράκος|Πολίτικη κουζίνα|Νύφες|Ευδοκία|Το προξενιό της Άννας|Λούφα και παραλλαγή|Η δε γυνή να φοβήται τον άνδρα|Ποτέ την Κυριακή|Φαίδρα|Κάλπικη λίρα|Ο μπακαλόγατος|Η Αλίκη στο Ναυτικό|Υπολοχαγός Νατάσσα|Δεσποινίς διευθυντής|Κορίτσια για φίλημα|Ρεμπέτικο|Πέτρινα χρόνια|Μικρά Αγγλία|Το μικρό ψάρι|Χώμα και νερό|Σπιρτόκουτο|Μαχαιροβγάλτης|Στρέλλα|Η αιώνια επιστροφή|Γλυκιά συμμορία|Τα παιδιά του Πειραιά|Οι απάχηδες των Αθηνών|Ορατότης μηδέν|Τζένη Τζένη";
const ARABIC: &str = "باب الحديد|المومياء|الأرض|العصفور|الناصر صلاح الدين|دعاء الكروان|القاهرة 30|شيء من الخوف|الزوجة الثانية|بداية ونهاية|اللص والكلاب|ميرامار|ثرثرة فوق النيل|الكرنك|الكيت كات|سواق الأتوبيس|الحريف|البريء|زوجة رجل مهم|أحلام هند وكاميليا|إسكندرية ليه|حدوتة مصرية|المصير|المهاجر|عمارة يعقوبيان|الفيل الأزرق|كفر ناحوم|سكر بنات|وهلأ لوين|ذيب|عمر|الجنة الآن|يد إلهية|عرس الجليل|صمت القصور|عصفور السطح|وقائع سنين الجمر|معركة الجزائر|الرسالة|عمر المختار|وجدة|بركة يقابل بركة|الإرهاب والكباب|المنسي|طيور الظلام|النوم في العسل|أرض الخوف|داود عبد السيد|رسائل البحر|سهر الليالي|في شقة مصر الجديدة";
const CJK: &str = "千と千尋の神隠し|七人の侍|羅生門|東京物語|もののけ姫|となりのトトロ|風の谷のナウシカ|天空の城ラピュタ|魔女の宅急便|紅の豚|ハウルの動く城|崖の上のポニョ|風立ちぬ|火垂るの墓|君の名は。|天気の子|万引き家族|誰も知らない|そして父になる|海街diary|ドライブ・マイ・カー|おくりびと|生きる|用心棒|椿三十郎|蜘蛛巣城|影武者|乱|夢|晩春|麦秋|秋刀魚の味|雨月物語|西鶴一代女|山椒大夫|砂の女|切腹|ゴジラ|バトル・ロワイアル|攻殻機動隊|霸王别姬|花样年华|重庆森林|春光乍泄|卧虎藏龙|英雄|十面埋伏|活着|红高粱|大红灯笼高高挂|悲情城市|一一|饮食男女|无间道|功夫|少林足球|让子弹飞|霸王之路|流浪地球|我不是药神|기생충|올드보이|살인의 추억|괴물|마더|설국열차|옥자|아가씨|박쥐|친절한 금자씨|복수는 나의 것|공동경비구역 JSA|봄 여름 가을 겨울 그리고 봄|빈집|피에타|시|밀양|버닝|부산행|곡성|추격자|황해|태극기 휘날리며|실미도|왕의 남자|명량|신과함께|국제시장|베테랑|택시운전사|헤어질 결심|브로커";

/// The scripts, each with the least share of its titles that are found by three quarters of the title and by a part of it,
/// and with a typing error, in percent.
const SCRIPTS: [(&str, &str, [usize; 3]); 4] = [
    ("Cyrillic", CYRILLIC, [100, 100, 100]),
    ("Greek", GREEK, [100, 100, 100]),
    ("Arabic", ARABIC, [100, 100, 100]),
    ("CJK", CJK, [100, 100, 0]),
];

/// Returns the titles of a script.
fn titles(script: &'static str) -> Vec<&'static str> {
    script.split('|').collect()
}

/// Returns the films of all scripts.
fn films() -> Films {
    Films::new(&SCRIPTS.iter().flat_map(|(_, script, _)| titles(script)).collect::<Vec<_>>())
}

/// Returns S@10, in percent: how many titles are among the first ten films found by what a person types for each, of those
/// for which there is something to type. Prints the others.
fn found(films: &Films, script: &'static str, typed: impl Fn(&str) -> Option<String>) -> usize {
    let queries = titles(script).into_iter().filter_map(|title| Some((title, typed(title)?)));
    let (mut hits, mut all) = (0, 0);
    for (title, typed) in queries {
        let found = films.search(&typed);
        all += 1;
        if found.iter().take(10).any(|hit| *hit == title) {
            hits += 1;
        } else {
            println!("{typed:?} does not find {title:?}, but {found:?}");
        }
    }
    assert!(all > 0, "no query is made of {script}");
    100 * hits / all
}

/// Returns the longest word of a title.
fn longest_word(title: &str) -> &str {
    title.split(' ').max_by_key(|word| word.chars().count()).unwrap_or(title)
}

/// Returns the last half of a title that is written without spaces, otherwise its longest word.
fn part(title: &str) -> Option<String> {
    if title.contains(' ') {
        return Some(longest_word(title).to_owned());
    }
    let chars: Vec<char> = title.chars().collect();
    let is_segmented = CJK.contains(title);
    is_segmented.then(|| chars[chars.len() / 2..].iter().collect())
}

/// Returns a title whose longest word, of at least 6 letters besides an article that is written as part of it, lacks the
/// fourth.
fn with_typing_error(title: &str) -> Option<String> {
    let word = longest_word(title).trim_start_matches("ال");
    let chars = word.chars();
    (chars.clone().count() >= 6).then(|| {
        let typed = chars.enumerate().filter(|(at, _)| *at != 3).map(|(_, letter)| letter);
        title.replace(word, &typed.collect::<String>())
    })
}

#[test]
fn titles_are_found_by_their_own_script() {
    let films = films();
    for (name, script, least) in SCRIPTS {
        let count = titles(script).len();
        assert!(count >= 50, "{name} has {count} titles");
        let whole = found(&films, script, |title| Some(title.to_owned()));
        let upper = found(&films, script, |title| Some(title.to_uppercase()));
        let three_quarters = |title: &str| {
            let chars: Vec<char> = title.chars().collect();
            Some(chars[..(chars.len() * 3).div_ceil(4)].iter().collect())
        };
        let shares = [
            found(&films, script, three_quarters),
            found(&films, script, part),
            // Each character of the others is a word.
            if script == CJK { 0 } else { found(&films, script, with_typing_error) },
        ];
        println!("{name}, {count} titles: S@10 {whole} %, {upper} % in upper case; {shares:?}");
        assert_eq!((whole, upper), (100, 100), "{name}");
        assert!(shares.iter().zip(least).all(|(share, least)| *share >= least), "{name}: {shares:?}");
    }
}

#[test]
fn folds_marks_and_final_letters() {
    let films = films();
    for (query, title) in [
        ("броненосец потемкин", "Броненосец Потёмкин"),
        ("белое сонлце пустыни", "Белое солнце пустыни"),
        ("сталкр", "Сталкер"),
        ("αλεξης ζορμπας", "Αλέξης Ζορμπάς"),
        ("ΖΟΡΜΠΑΣ", "Αλέξης Ζορμπάς"),
        ("مصير", "المصير"),
        ("الاسكندرية ليه", "إسكندرية ليه"),
        ("千尋", "千と千尋の神隠し"),
        ("となりのととろ", "となりのトトロ"),
        ("기새", "기생충"),
    ] {
        assert!(films.search(query).contains(&title), "{query} {:?}", films.search(query));
    }
}
